#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Shows shunt at work on real traffic, and cleans up after itself:
# - in a cgroup of its own, loaded as eager, a socat echo server and client;
# - in the cgroup that is loaded, the latency with and without the bypass;
# - in two private network namespaces, a second shunt that steers what a client
#   sends to 172.16.240.9 to socat's transparent listeners.
# Prints the trace lines seen.
set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

router=shunt-router-$$
client=shunt-client-$$
pins=/sys/fs/bpf/shunt-verify-$$
eager_pins=/sys/fs/bpf/shunt-eager-$$
eager=$(cgroup2)/shunt-verify-$$
jobs=()

cleanup() {
	for pid in "${jobs[@]}"; do kill "$pid" 2>/dev/null || true; done
	if [ -d "$pins" ]; then in_router "$shunt" --pin-dir "$pins" unload || true; fi
	if [ -d "$eager_pins" ]; then "$shunt" --pin-dir "$eager_pins" unload || true; fi
	rmdir "$eager" 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	ip netns del "$router" 2>/dev/null || true
	rm -rf "$dir"
}

fail() {
	echo "verify.sh: FAILED: $*" >&2
	exit 1
}

# 'ip netns exec' would hide the cgroup and bpf file systems.
in_router() { nsenter --net=/run/netns/"$router" "$@"; }
in_client() { nsenter --net=/run/netns/"$client" "$@"; }

in_cgroup() ( # CGROUP COMMAND...
	echo "$BASHPID" >"$1/cgroup.procs"
	exec "${@:2}"
)

background() {
	"$@" &
	jobs+=($!)
}

listens() { # tcp|udp PORT [PREFIX...]
	"${@:3}" ss -Hln"${1:0:1}" "sport = :$2" | grep -q .
}

# Shows and counts the trace lines that match; fails without any.
show() {
	kill -0 "$follower" 2>/dev/null || fail "the trace can't be read: see above"
	grep -m 1 -E "$1" "$dir/trace" || fail "no trace line like '$1'"
}

bypass() {
	local port=1000 got
	mkdir "$eager"
	"$shunt" --pin-dir "$eager_pins" load --cgroup "$eager=eager"
	"$shunt" --pin-dir "$eager_pins" trace on
	while listens tcp "$port"; do port=$((port + 1)); done
	background in_cgroup "$eager" socat "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr" EXEC:cat
	wait_for 5 listens tcp "$port" || fail "the echo server does not listen"
	got=$( (echo hello; wait_for 5 grep -q "bypass 127.0.0.1:$port -> " "$dir/trace"; echo again) |
		in_cgroup "$eager" timeout 10 socat -t 2 - "TCP4:127.0.0.1:$port")
	[ "$got" = $'hello\nagain' ] || fail "the echo server sent '$got' back"
	wait_for 5 grep -q "bypass 127.0.0.1:$port -> " "$dir/trace" || true
	show "pair .*:$port op=active"
	show "bypass .* -> 127.0.0.1:$port "
	show "bypass 127.0.0.1:$port -> "
}

make_namespaces() {
	ip netns add "$router"
	ip netns add "$client"
	ip -n "$router" link set lo up
	ip -n "$client" link set lo up
	ip -n "$router" link add router type veth peer name client netns "$client"
	ip -n "$router" addr add 198.18.0.1/30 dev router
	ip -n "$client" addr add 198.18.0.2/30 dev client
	ip -n "$router" link set router up
	ip -n "$client" link set client up
	ip -n "$client" route add 172.16.240.0/24 via 198.18.0.1
}

# Answers a datagram as a transparent router does: from the address that the
# client sent to.
udp_service() {
	cat >"$dir/reply" <<-'END'
		#!/bin/sh
		exec socat -u - "UDP4-SENDTO:$SOCAT_PEERADDR:$SOCAT_PEERPORT,bind=172.16.240.9:5060,ip-transparent,reuseaddr"
	END
	chmod +x "$dir/reply"
	exec nsenter --net=/run/netns/"$router" socat UDP4-RECVFROM:58997,bind=127.0.0.1,ip-transparent,fork "EXEC:$dir/reply"
}

tcp_service() {
	exec nsenter --net=/run/netns/"$router" socat TCP4-LISTEN:58998,bind=127.0.0.1,ip-transparent,reuseaddr,fork EXEC:cat
}

# ask WORDS ADDRESS: the answer. The client stays until one has come.
ask() {
	: >"$dir/answer"
	(echo "$1"; wait_for 10 test -s "$dir/answer") |
		in_client timeout 15 socat -t 0.1 - "$2" >"$dir/answer" || true
	cat "$dir/answer"
}

steer() {
	local got
	make_namespaces
	in_router "$shunt" --pin-dir "$pins" load --iface router
	in_router "$shunt" --pin-dir "$pins" steer add udp dst 172.16.240.0/24 dport 5060 to 127.0.0.1:58997 service sip
	in_router "$shunt" --pin-dir "$pins" steer add tcp dst 172.16.240.0/24 dport 80 to 127.0.0.1:58998 service web
	"$shunt" --pin-dir "$pins" trace on
	background udp_service
	background tcp_service
	wait_for 5 listens udp 58997 in_router || fail "the UDP listener is not there"
	wait_for 5 listens tcp 58998 in_router || fail "the TCP listener is not there"
	got=$(ask "over udp" UDP4:172.16.240.9:5060,bind=198.18.0.2:5060)
	[ "$got" = "over udp" ] || fail "UDP 172.16.240.9:5060 answered '$got'"
	got=$(ask "over tcp" TCP4:172.16.240.9:80)
	[ "$got" = "over tcp" ] || fail "TCP 172.16.240.9:80 answered '$got'"
	wait_for 5 grep -q 'steer tcp' "$dir/trace" || true
	show 'steer udp .* -> 172.16.240.9:5060 '
	show 'steer tcp .* -> 172.16.240.9:80 '
}

latency() {
	local plain fast
	make -s -C "$root" build/bench/tcp
	plain=$("$root/build/bench/tcp" rr -w 0.5 -t 1 | awk '$1 == "p50" { print $3 }')
	fast=$(in_cgroup "$cgroup" "$root/build/bench/tcp" rr -w 0.5 -t 1 | awk '$1 == "p50" { print $3 }')
	echo "request/response of 64 bytes, one CPU: $plain us by TCP, $fast us bypassed"
}

need_root
[ -x "$shunt" ] || die "'$shunt' is not built; load.sh does it"
cgroup=$("$shunt" status | awk '$1 == "cgroup" { print $2; exit }')
dir=$(mktemp -d)
trap cleanup EXIT
trap 'exit 1' INT TERM
background "$shunt" trace follow >"$dir/trace"
follower=$!

echo "bypass, in a cgroup of its own:"
bypass
if [ -n "$cgroup" ]; then
	echo "bypass, in cgroup $cgroup:"
	latency
fi
echo "steering, in private network namespaces:"
steer
echo "verify.sh: ok"
