# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The host is the file's own namespace:
#
#     host .1 --- 10.0.0.0/24 --- .10, .138 near
#          h0
#     host .1 --- 10.1.0.0/24 --- .2 far
#          h1
#
# near has the old destination of the rules and a target, far has another target.
#
# setup() and teardown() are below.

load ../lib/common
load ../lib/addresses

client=()

make_hosts()
{
	netns near
	netns far
	ip link add h0 type veth peer name n0 netns "${near_file:?}"
	ip link add h1 type veth peer name f0 netns "${far_file:?}"
	ip -batch - <<-END
		addr add 10.0.0.1/24 dev h0
		addr add 10.1.0.1/24 dev h1
		addr add fd00::a00:1/120 dev h0 nodad
		addr add fd00::a01:1/120 dev h1 nodad
		link set h0 up
		link set h1 up
	END
	"${near[@]:?}" ip -batch - <<-END
		addr add 10.0.0.10/24 dev n0
		addr add 10.0.0.138/24 dev n0
		addr add fd00::a00:a/120 dev n0 nodad
		addr add fd00::a00:8a/120 dev n0 nodad
		link set n0 up
	END
	"${far[@]:?}" ip -batch - <<-END
		addr add 10.1.0.2/24 dev f0
		addr add fd00::a01:2/120 dev f0 nodad
		link set f0 up
		route add 10.0.0.0/24 via 10.1.0.1
		route add fd00::a00:0/120 via fd00::a01:1
	END
}

setup()
{
	make_hosts
	forwarding=$(cat /proc/sys/net/ipv4/conf/lo/forwarding)
	maps=
}

teardown()
{
	maps=$(own_maps)
	end_all
	unload_other
	unload
	nothing_left "$maps"
	[ "$(cat /proc/sys/net/ipv4/conf/lo/forwarding)" = "$forwarding" ]
	nothing_on h0
	ip link del h0
	ip link del h1
	remove_netns
}

# nothing_on IFACE: no program, filter or clsact qdisc is left there
nothing_on()
{
	[ -z "$(tc qdisc show dev "$1" clsact)" ] &&
		[ "$(bpftool -j net show dev "$1" 3>&- | jq '[.[].tc[]?, .[].tcx[]?] | length')" = 0 ]
}

# at 10.1.0.2 80: prints ADDRESS:PORT in the family at hand
at()
{
	endpoint "$1" "$2"
	echo "$REPLY"
}

# add PROTO DST PORT TO PORT: adds a NAT rule in the family at hand
add()
{
	local dst

	address "$2"
	dst=$REPLY
	shunt nat add "$1" dst "$dst" dport "$3" to "$(at "$4" "$5")"
}

both_families()
{
	for family in 4 6; do
		echo "# IPv$family"
		"$@"
	done
	family=4
}

# serve NAME PLACE PROTO ADDRESS PORT [COMMAND]: starts a server in that place. It
# answers each connection or datagram with NAME, and then with the bytes that came.
serve()
{
	local -n where=$2

	address "$4"
	[ "$family" = 4 ] || REPLY="[$REPLY]"
	spawn "$1" "${where[@]}" socat "${3^^}$family-LISTEN:$5,bind=$REPLY,fork,reuseaddr" \
		"SYSTEM:${6:-echo $1; cat}"
	wait_for serving "$3" "$5" "${where[@]}"
}

serving()
{
	"${@:3}" ss -Hln"${1:0:1}" "sport = :$2" | grep -q .
}

# stop NAME: ends a server of serve()
stop()
{
	kill "$(cat "$BATS_TEST_TMPDIR/$1.pid")"
	wait_for ended "$1"
	rm "$BATS_TEST_TMPDIR/$1".*
}

# ask PROTO ADDRESS PORT: sends "hello" from the place of the array client (this host)
# and prints the answer; of UDP two lines, in one datagram or in two
ask()
{
	address "$2"
	if [ "$1" = tcp ]; then
		echo hello | timeout 10 "${client[@]}" nc -N -w 5 "$REPLY" "$3" 3>&-
	else
		head -n 2 < <(echo hello | timeout 10 "${client[@]}" nc -u -W 2 -w 5 "$REPLY" "$3" 3>&-)
	fi
}

# answered NAME PROTO ADDRESS PORT: the server NAME answers at this address
answered()
{
	local got

	got=$(ask "${@:2}") || true
	[ "$got" = "$1"$'\n'hello ] && return
	echo "expected $1, got: $got"
	shunt nat flows
	return 1
}

flows()
{
	status_is nat.flows -eq "$1"
}

# nat_ifaces: prints the interfaces that NAT is attached to
nat_ifaces()
{
	status 'nat.ifaces | map(.name) | join(" ")'
}

# load_quick [OPTION]...: loads NAT with short idle times, so that flows end soon
load_quick()
{
	shunt load --nat h0 --nat-idle opening=1 --nat-idle tcp=60 --nat-idle closing=60 \
		--nat-idle closed=1 --nat-idle udp=1 "$@"
}

# echoed NAME TEXT: sends the text through that client, and waits until it comes back
echoed()
{
	tell "$1" "$2"
	wait_for has_said "$1" "$2"
}

# greeted NAME REGEX: for wait_for. The client has printed that; else it sends "hello".
greeted()
{
	has_said "$@" || { tell "$1" hello; false; }
}

# large DST: a large datagram is sent there and comes back
large()
{
	local text

	text=$(head -c 4000 /dev/zero | tr '\0' x)
	address "$1"
	[ "$family" = 4 ] || REPLY="[$REPLY]"
	[ "$(head -n 1 < <(timeout 10 "${client[@]}" \
		socat -b 8192 -t 2 - "UDP$family:$REPLY:80" <<<"$text" 3>&-))" = "$text" ]
}

# refused_with_an_error DST: a UDP socket that sends to port 80 gets the error of the target
refused_with_an_error()
{
	address "$1"
	# shellcheck disable=SC2016 # for perl
	"${client[@]}" perl -MSocket=:all -e '
		my ($host, $v6) = @ARGV;
		socket(S, $v6 ? PF_INET6 : PF_INET, SOCK_DGRAM, 0) or die;
		connect(S, $v6 ? pack_sockaddr_in6(80, inet_pton(AF_INET6, $host)) :
			sockaddr_in(80, inet_aton($host))) or die;
		send(S, "hello", 0) or die;
		alarm 5; recv(S, $got, 100, 0); print $!' "$REPLY" $((family == 6)) 3>&- |
		grep -q 'Connection refused'
}

