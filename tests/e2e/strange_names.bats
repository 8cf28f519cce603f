#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Names of processes, interfaces and cgroups may have nearly any bytes: escape sequences
# that a terminal obeys, newlines that forge lines, bytes that are no UTF-8. None of these
# may reach a terminal, and JSON has to stay valid.

bats_require_minimum_version 1.5.0
load ../lib/common

# ESC ]0;x BEL sets a terminal's title; \xff is no UTF-8, \xc2\x9b is CSI in one character
IFACE=$'e\e]0;\a\xff\x01'
GROUP=$CGROUP_ROOT/$'a\e[2Jfake line\xff\xc2\x9b'

setup()
{
	ip link add "$IFACE" type veth peer name plain0
	ip link set "$IFACE" up
	mkdir -p "$GROUP"
}

teardown()
{
	clean_up
	ip link del plain0
	rmdir "$GROUP"
}

# Control characters that are no newline, and bytes that are no UTF-8
unclean()
{
	LC_ALL=C grep -naP '[\x00-\x09\x0b-\x1f\x7f]' "$1" || ! iconv -f utf-8 -t utf-8 "$1" >/dev/null ||
		grep -n '^fake line' "$1" || LC_ALL=C grep -naP '\xc2[\x80-\x9f]' "$1"
}

# clean COMMAND...: what the command prints is clean text, and with -j valid JSON for two
# parsers
clean()
{
	local out=$BATS_TEST_TMPDIR/out

	"$SHUNT" "$@" >"$out" 2>&1 3>&- || true
	! unclean "$out" || { echo "shunt $*:"; cat -v "$out"; return 1; }
	"$SHUNT" -j "$@" >"$out" 2>/dev/null 3>&- || true
	! unclean "$out" || { echo "shunt -j $*:"; cat -v "$out"; return 1; }
	jq . <"$out" >/dev/null
	! command -v python3 >/dev/null || python3 -c 'import json, sys
for line in sys.stdin.buffer: json.loads(line.decode())' <"$out"
}

@test "escape sequences in the names of interfaces and cgroups reach no terminal, and JSON is valid" {
	shunt load --iface "$IFACE" --nat "$IFACE" --monitor "$IFACE" --cgroup "$GROUP" \
		--exclude $'process:\e]0;\xff'
	shunt nat add tcp dst 10.9.9.9 dport 80 to 10.9.9.8:80
	clean status
	shunt status | grep -qF 'iface e\x1b]0;\x07\xff\x01'
	shunt status | grep -qF 'a\x1b[2Jfake line\xff\xc2\x9b'
	shunt -j status | jq -r '.bypass.cgroups[0].path' | grep -q 'fake line'
	clean check
	clean monitor --once
	clean nat flows
	shunt metrics >"$BATS_TEST_TMPDIR/metrics"
	iconv -f utf-8 -t utf-8 "$BATS_TEST_TMPDIR/metrics" >/dev/null
	[ "$(grep -c '^fake line' "$BATS_TEST_TMPDIR/metrics")" = 0 ]
}

@test "escape sequences in arguments reach no terminal, and JSON is valid" {
	local word=$'x\e]0;\a\nfake line\xff'

	shunt load --iface plain0
	clean "$word"
	clean load --iface "$word"
	clean load --cgroup "$word"
	clean load --config "$word"
	clean steer add "$word"
	clean steer add tcp dst "$word" pass
	clean steer add tcp dst 10.0.0.1 iface "$word" pass
	clean steer del tcp dst 10.0.0.1 service "$word"
	clean nat add tcp dst "$word"
	clean apply "$word"
	clean monitor --once "$word"
	clean --pin-dir "/sys/fs/bpf/$word" status
	printf 'tcp dst %s pass\n' $'\e]0;\xff' >"$BATS_TEST_TMPDIR/rules"
	clean apply "$BATS_TEST_TMPDIR/rules"
}

# The process prints events. It passes over those from before its begin.
prints_events()
{
	echo ' x-17 [000] ..s1. 1.0: bpf_trace_printk: shunt: begin' >&"$1"
	has_said follow 'begin'
}

# follow WORD...: shunt trace follow, which reads lines of the test instead of the kernel's
follow()
{
	local pipe=$BATS_TEST_TMPDIR/trace_pipe fd

	rm -f "$pipe" "$BATS_TEST_TMPDIR"/follow.*
	mkfifo "$pipe"
	exec {fd}<>"$pipe"
	# shellcheck disable=SC2016 # for the inner shell
	spawn follow unshare --mount bash -euc \
		'mount --bind "$1" /sys/kernel/tracing/trace_pipe; shift; exec "$@"' - "$pipe" \
		"$SHUNT" "$@" trace follow
	wait_for prints_events "$fd"
	cat "$BATS_TEST_TMPDIR/lines" >&"$fd"
	said follow 'last'
	exec {fd}>&-
	kill "$(cat "$BATS_TEST_TMPDIR/follow.pid")"
	run grep -v begin "$BATS_TEST_TMPDIR/follow.out"
}

@test "trace follow: a process whose name looks like an event forges none" {
	[ -e /sys/kernel/tracing/trace_pipe ] || skip "no tracefs"
	cat >"$BATS_TEST_TMPDIR/lines" <<-'END'
		 shunt: pair 6.6-17 [000] ..s1. 1.0: sched_wakeup: comm=shunt: pair 1.1.1.1:1
		 shunt: pair 6.6-17 [000] ..s1. 1.0: bpf_trace_printk: shunt: pair 10.0.0.1:1 <-> [0000:0000:0000:0000:0000:0000:0000:0001]:2
		 x-17 [000] ..s1. 1.0: bpf_trace_printk: shunt: last
	END
	follow
	[ "$output" = $'shunt: pair 10.0.0.1:1 <-> [::1]:2\nshunt: last' ]
	follow -j
	[ "$(head -n 1 <<<"$output" | jq -r .event)" = \
		'pair 10.0.0.1:1 <-> [0000:0000:0000:0000:0000:0000:0000:0001]:2' ]
}

@test "sockets: escape sequences in the name of a process reach no terminal, and JSON is valid" {
	local name=$'s\e]0;\a\nfake line'

	# shellcheck disable=SC2153 # of common.bash
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP"
	spawn run "$SHUNT" run
	ln -s "$PEERS/style" "$BATS_TEST_TMPDIR/$name"
	spawn blocking in_cgroup "$BATS_TEST_TMPDIR/$name" blocking 60
	named()
	{
		shunt sockets | grep -qF 's\x1b]0;\x07\x0afake'
	}
	wait_for named
	clean sockets
	shunt -j sockets | jq -r '.[0].client_process.name' | grep -q 'fake'
	tell blocking
	reap blocking
}
