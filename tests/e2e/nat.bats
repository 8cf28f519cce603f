#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT; nat.bash has the hosts.

load ../lib/nat

BENCH=$PROJECT/build/bench

bats_require_minimum_version 1.5.0

# --- the mapping ---------------------------------------------------------------

ancestors_example()
{
	serve target near "$1" 10.0.0.138 23456
	serve other near "$1" 10.0.0.10 12345
	answered other "$1" 10.0.0.10 12345
	add "$1" 10.0.0.10 12345 10.0.0.138 23456
	answered target "$1" 10.0.0.10 12345
	stop target
	stop other
}

@test "nat: to another host: nc by TCP and UDP, IPv4 and IPv6" {
	shunt load --nat h0
	both_families ancestors_example tcp
	both_families ancestors_example udp
}

by_another_interface()
{
	serve target far "$1" 10.1.0.2 23456
	add "$1" 10.0.0.10 80 10.1.0.2 23456
	answered target "$1" 10.0.0.10 80
	stop target
}

@test "nat: a target by another interface, with strict source validation" {
	sysctl -qw net.ipv4.conf.all.rp_filter=1
	shunt load --nat h0
	both_families by_another_interface tcp
	both_families by_another_interface udp
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	[ "$(status 'nat.ifaces | map(.name) | join(" ")')" = "h0 h1" ]
}

@test "nat: the route to the old destination changes, then the first interface is deleted" {
	ip route add 10.8.0.1 via 10.0.0.138
	shunt load --nat h0
	serve target far tcp 10.1.0.2 8080
	add tcp 10.8.0.1 80 10.1.0.2 8080
	spawn client nc 10.8.0.1 80
	wait_for has_said client target
	echoed client before
	ip route replace 10.8.0.1 via 10.1.0.2
	echoed client moved
	ip link set h0 down
	echoed client after
	[ "$(shunt -j nat flows | jq -r '.[0].iface')" = h1 ]
	[ "$(status nat.new_flows)" = 1 ]
}

# host .1 --- 10.2.0.0/24 --- .2 far, by a device without a link layer header
#       w0
tun_to_far()
{
	spawn wire "$PEERS/wire" --tun w0 /proc/self/ns/net "${far_file:?}"
	said wire ready || skip "no tun devices in this kernel"
	ip -batch - <<-END
		link set w0 addrgenmode none up
		addr add 10.2.0.1/24 dev w0
		addr add fd00::a02:1/120 dev w0 nodad
	END
	"${far[@]}" ip -batch - <<-END
		link set w0 addrgenmode none up
		addr add 10.2.0.2/24 dev w0
		addr add fd00::a02:2/120 dev w0 nodad
		route replace 10.0.0.0/24 via 10.2.0.1
		route replace fd00::a00:0/120 via fd00::a02:1
	END
	"${near[@]}" ip -batch - <<-END
		route add 10.2.0.0/24 via 10.0.0.1
		route add fd00::a02:0/120 via fd00::a00:1
	END
}

# by_tun PROTO FROM PLACE TARGET: TARGET in PLACE answers packets to FROM, and all bytes
# are right
by_tun()
{
	local file=$BATS_TEST_TMPDIR/some back=$BATS_TEST_TMPDIR/back

	echo "# $*"
	serve target "$3" "$1" "$4" 8080
	add "$1" "$2" 80 "$4" 8080
	answered target "$1" "$2" 80
	stop target
	if [ "$1" = tcp ]; then
		head -c 300000 /dev/urandom >"$file"
		serve target "$3" tcp "$4" 8080 cat
		timeout 20 socat -t 20 - "TCP$family:$(at "$2" 80)" <"$file" >"$back" 3>&-
		same_bytes "$file" "$back"
		stop target
	fi
}

each_by_tun()
{
	local proto

	# shellcheck disable=SC2034 # for serve
	here=()
	for proto in tcp udp; do
		by_tun $proto 10.2.0.9 far 10.2.0.2
		by_tun $proto 10.0.0.10 far 10.2.0.2
		by_tun $proto 10.2.0.8 near 10.0.0.138
		by_tun $proto 10.2.0.7 here 10.0.0.1
	done
	nobody_listens_at 10.2.0.2
	nobody_listens_at 10.0.0.138
}

nobody_listens_at()
{
	add udp 10.2.0.6 80 "$1" 9
	refused_with_an_error 10.2.0.6
}

@test "nat: a device without a link layer header: to it, from it, and over it" {
	tun_to_far
	shunt load --nat w0
	both_families each_by_tun
	[ "$(nat_ifaces)" = "w0 h0 lo" ]
}

on_this_host()
{
	# shellcheck disable=SC2034 # for serve
	here=()
	serve target here "$1" 10.0.0.1 23456
	add "$1" 10.0.0.10 80 10.0.0.1 23456
	answered target "$1" 10.0.0.10 80
	stop target
}

@test "nat: a target on this host" {
	shunt load --nat h0
	both_families on_this_host tcp
	both_families on_this_host udp
	[ "$(status 'nat.ifaces | map(.name) | join(" ")')" = "h0 lo" ]
}

prefix_to_prefix()
{
	serve same far "$1" 10.1.0.2 90
	serve next far "$1" 10.1.0.2 2002
	address 10.0.0.0
	local dst=$REPLY/$((family == 4 ? 24 : 120))
	address 10.1.0.0
	local to=$REPLY/$((family == 4 ? 24 : 120)) range=$REPLY
	shunt nat add "$1" dst "$dst" dport 90 to "$to"
	[ "$family" = 4 ] || range="[$range]"
	shunt nat add "$1" dst "$dst" dport 1000-1010 to "$range/${dst#*/}:2000-2010"
	answered same "$1" 10.0.0.2 90
	answered next "$1" 10.0.0.2 1002
	stop same
	stop next
}

@test "nat: prefix to prefix, port range to port range; the narrower rule wins" {
	ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:99 dev h0 nud permanent
	ip neigh add fd00::a00:2 lladdr 02:00:00:00:00:99 dev h0 nud permanent
	shunt load --nat h0
	both_families prefix_to_prefix tcp
	both_families prefix_to_prefix udp

	serve narrow far tcp 10.1.0.2 3000
	shunt nat add tcp dst 10.0.0.0/24 to 10.1.0.2:1
	shunt nat add tcp dst 10.0.0.2 dport 1000-1003 to 10.1.0.2:3000
	shunt nat add tcp dst 10.0.0.2 dport 1002-1010 to 10.1.0.2:1
	answered narrow tcp 10.0.0.2 1003
	shunt nat del tcp dst 10.0.0.2 dport 1000-1003
	run ! answered narrow tcp 10.0.0.2 1003
}

# --- bytes and checksums ---------------------------------------------------------

# capture: starts tcpdump in near
capture()
{
	spawn capture "${near[@]}" tcpdump --immediate-mode -U -s 0 -w "$BATS_TEST_TMPDIR/near.pcap" -i n0
	wait_for grep -q listening "$BATS_TEST_TMPDIR/capture.err"
}

# captured REGEX: tcpdump -vv in near printed a packet that matches
captured()
{
	tcpdump -nvvr "$BATS_TEST_TMPDIR/near.pcap" 2>/dev/null | tr -d '\n' | grep -Eq "$1"
}

no_bad_checksum()
{
	local bad

	kill "$(cat "$BATS_TEST_TMPDIR/capture.pid")"
	wait_for ended capture
	captured "\\(correct\\)"
	bad=$(tcpdump -nvvr "$BATS_TEST_TMPDIR/near.pcap" 2>/dev/null |
		grep -E 'incorrect|\[bad |wrong|bad cksum' | head -5) || true
	[ -z "$bad" ] && return
	echo "$bad"
	return 1
}

offload()
{
	ethtool -K h0 tx "$1" >/dev/null
	"${near[@]}" ethtool -K n0 tx "$1" >/dev/null
}

# web_server FILE: prints the name of a script that answers a request with the file
web_server()
{
	cat >"$BATS_TEST_TMPDIR/web.sh" <<-END
		#!/bin/sh
		read -r request
		printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'
		cat $1
	END
	chmod +x "$BATS_TEST_TMPDIR/web.sh"
	echo "$BATS_TEST_TMPDIR/web.sh"
}

real_programs()
{
	local big dst to

	address 10.0.0.138
	to=$REPLY
	address 10.0.0.10
	dst=$REPLY
	big=$(big 8)
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add tcp 10.0.0.10 5201 10.0.0.138 5202
	add udp 10.0.0.10 5201 10.0.0.138 5202
	add udp 10.0.0.10 53 10.0.0.138 5353
	add tcp 10.0.0.10 53 10.0.0.138 5353

	serve web near tcp 10.0.0.138 8080 "$(web_server "$big")"
	curl -sS -m 20 -o "$BATS_TEST_TMPDIR/got" "http://$(at 10.0.0.10 80)/" 3>&-
	same_bytes "$big" "$BATS_TEST_TMPDIR/got"
	stop web

	spawn iperf "${near[@]}" iperf3 -s -p 5202 -B "$to"
	wait_for serving tcp 5202 "${near[@]}"
	iperf3 -c "$dst" -n 8M -J 3>&- | jq -e '(.error | not) and .end.sum_sent.bytes > 7000000' >/dev/null
	iperf3 -c "$dst" -n 8M -R -J 3>&- | jq -e '(.error | not) and .end.sum_sent.bytes > 7000000' >/dev/null
	# a busy receiver may lose some
	iperf3 -c "$dst" -u -b 20M -n 1M -J 3>&- |
		jq -e '.end.sum | .packets > 500 and .lost_percent < 20' >/dev/null
	stop iperf

	spawn dns "${near[@]}" dnsmasq -k -p 5353 -a "$to" -z -R -h -C /dev/null --pid-file \
		--user=root --host-record=shunt.test,192.0.2.7
	wait_for serving udp 5353 "${near[@]}"
	[ "$(dig +short +time=2 "@$dst" shunt.test 3>&-)" = 192.0.2.7 ]
	[ "$(dig +short +tcp +time=2 "@$dst" shunt.test 3>&-)" = 192.0.2.7 ]
	stop dns
}

@test "nat: curl, iperf3 and dig: the bytes are the same, with checksum offload" {
	need dig dnsmasq
	shunt load --nat h0
	both_families real_programs
}

@test "nat: checksums are right without checksum offload" {
	need dig dnsmasq tcpdump
	offload off
	shunt load --nat h0
	capture
	both_families real_programs
	no_bad_checksum
}

# Prints the answer to a datagram without a checksum.
without_checksum()
{
	perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0) or die;
		setsockopt(S, SOL_SOCKET, 11, 1) or die; # SO_NO_CHECK
		send(S, "hello\n", 0, sockaddr_in(80, inet_aton("10.0.0.10"))) or die;
		alarm 5; recv(S, $got, 100, 0); print $got' 3>&-
}

@test "nat: UDP without a checksum stays without one" {
	serve target near udp 10.0.0.138 8080
	offload off
	shunt load --nat h0
	capture
	add udp 10.0.0.10 80 10.0.0.138 8080
	[ "$(without_checksum | head -n 1)" = target ]
	no_bad_checksum || true
	captured '10.0.0.1\.[0-9]+ > 10.0.0.138.8080: \[no cksum\]'
}

# --- fragments and errors ----------------------------------------------------------

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

large_datagram()
{
	serve target near udp 10.0.0.138 8080 cat
	add udp 10.0.0.10 80 10.0.0.138 8080
	large 10.0.0.10
	stop target
}

@test "nat: fragmented datagrams, both ways" {
	shunt load --nat h0
	both_families large_datagram
	[ "$(status nat.out_of_order_fragments)" = 0 ]
}

# fragment ID first|later DST: sends one fragment of a datagram to port 80; ID and DST in
# hexadecimal
fragment()
{
	local offset=2000 rest=0fa00050001800000000000000000000

	[ "$2" = first ] || offset=0002 rest=0000000000000000
	"$PEERS/raw" h0 02:00:00:00:00:99 \
		"450000$(printf %02x $((20 + ${#rest} / 2)))$1${offset}40110000""0a000001$3$rest"
}

@test "nat: fragments that arrive before the first fragment are counted, and no others" {
	shunt load --nat h0
	add udp 10.0.0.10 80 10.0.0.138 8080
	fragment 0001 first 0a00000a
	fragment 0001 later 0a00000a
	[ "$(status nat.rewritten_packets)" = 2 ]
	fragment 0002 later 0a00000b
	fragment 0002 first 0a00000b
	fragment 0003 later 0a00000b
	[ "$(status nat.out_of_order_fragments)" = 0 ]
	fragment 0004 later 0a00000a
	fragment 0004 later 0a00000a
	fragment 0004 first 0a00000a
	[ "$(status nat.out_of_order_fragments)" = 2 ]
	fragment 0004 later 0a00000a
	[ "$(status nat.rewritten_packets)" = 4 ]
	[ "$(status nat.out_of_order_fragments)" = 2 ]
}

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

nobody_listens()
{
	local before

	before=$(status nat.rewritten_icmp_errors)
	add udp 10.0.0.10 80 "$1" 8080
	refused_with_an_error 10.0.0.10
	grew nat.rewritten_icmp_errors "$before" 1
}

@test "nat: ICMP errors from the target reach the socket that sent" {
	offload off
	shunt load --nat h0
	both_families nobody_listens 10.0.0.138
	both_families nobody_listens 10.1.0.2
}

late_answer()
{
	local port=4000$family before

	before=$(status nat.rewritten_icmp_errors)
	# the socket is gone when the answer comes
	serve target near udp 10.0.0.138 8080 "sleep 1; echo late"
	add udp 10.0.0.10 80 10.0.0.138 8080
	address 10.0.0.10
	nc -u -w 0 -p "$port" "$REPLY" 80 <<<hello 3>&- || true
	wait_for grew nat.rewritten_icmp_errors "$before" 1
	stop target
}

@test "nat: ICMP errors of this host reach the target, with right checksums" {
	offload off
	shunt load --nat h0
	capture
	both_families late_answer
	no_bad_checksum || true
	captured 'ICMP 10.0.0.138 udp port|10.0.0.1 > 10.0.0.138: ICMP 10.0.0.1 udp port 40004 unreachable'
	run ! captured 'wrong icmp cksum|bad icmp6 cksum'
	captured 'fd00::a00:1 > fd00::a00:8a: .*icmp6 sum ok'
}

# --- flows ---------------------------------------------------------------------------

# held PORT [OPTION]: opens a connection by a rule, which stays until the client is ended
hold()
{
	spawn "hold$1" nc "${@:2}" 10.0.0.10 "$1"
	wait_for has_said "hold$1" target
}

@test "nat: idle times: answered, unanswered, closed and reset flows end; an open connection stays" {
	load_quick
	serve target near tcp 10.0.0.138 8080
	serve udp near udp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 81 10.1.0.99 8080 # nobody listens there
	hold 80
	answered target tcp 10.0.0.10 80
	answered udp udp 10.0.0.10 80
	nc -u -w 0 10.0.0.10 81 <<<hello 3>&- || true
	[ "$(status nat.new_flows)" = 4 ]
	wait_for flows 1
	[ "$(shunt -j nat flows | jq -r '.[0].to')" = 10.0.0.138:8080 ]
	tell hold80 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold80.out"
	stop hold80
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
}

@test "nat: a full table: new flows are dropped and counted, old ones go on" {
	load_quick --nat-flows 2
	serve target near tcp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add tcp 10.0.0.10 81 10.0.0.138 8080
	hold 80
	hold 81
	run ! timeout 2 nc -w 1 10.0.0.10 80 3>&-
	[ "$(status nat.dropped_no_room)" -ge 1 ]
	[ "$(shunt -j nat list | jq '.[0].refused')" -ge 1 ]
	flows 2
	tell hold80 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold80.out"
	stop hold80
	wait_for flows 1
	answered target tcp 10.0.0.10 80
}

@test "nat: two flows with the same source and port at the target: the second gets another source port" {
	load_quick
	# shellcheck disable=SC2016 # for the server's shell
	serve target near tcp 10.0.0.138 8080 'echo target from $SOCAT_PEERPORT; cat'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add tcp 10.0.0.10 81 10.0.0.138 8080
	spawn hold1 socat - TCP4:10.0.0.10:80,sourceport=40000,reuseaddr
	wait_for has_said hold1 'target from 40000'
	spawn hold2 socat - TCP4:10.0.0.10:81,sourceport=40000,reuseaddr
	wait_for has_said hold2 'target from [0-9]'
	run ! has_said hold2 'target from 40000'
	[ "$(status nat.source_ports_changed)" = 1 ]
	# and a connection straight to the target, without a rule
	spawn hold3 socat - TCP4:10.0.0.138:8080,sourceport=40000,reuseaddr
	wait_for has_said hold3 'target from [0-9]'
	run ! has_said hold3 'target from 40000'
	[ "$(status nat.source_ports_changed)" = 2 ]
	for hold in 1 2 3; do
		tell hold$hold on$hold
		wait_for grep -q "on$hold" "$BATS_TEST_TMPDIR/hold$hold.out"
	done
}

@test "nat: a connection of this host straight to the target keeps its port" {
	load_quick
	# shellcheck disable=SC2016 # for the server's shell
	serve target near tcp 10.0.0.138 8080 'echo target from $SOCAT_PEERPORT; cat'
	spawn hold1 socat - TCP4:10.0.0.138:8080,sourceport=40000,reuseaddr
	wait_for has_said hold1 'target from 40000'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	spawn hold2 socat - TCP4:10.0.0.10:80,sourceport=40000,reuseaddr
	wait_for has_said hold2 'target from [0-9]'
	run ! has_said hold2 'target from 40000'
	tell hold1 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold1.out"
}

# Two sockets at one port. One sends straight to the target before there is a rule. The
# server waits for both before it answers.
@test "nat: a UDP socket of this host straight to the target keeps its port" {
	load_quick
	# shellcheck disable=SC2016 # for perl
	spawn server "${near[@]}" perl -MSocket=:all -e '
		socket(S, PF_INET, SOCK_DGRAM, 0) or die;
		bind(S, sockaddr_in(8080, inet_aton("10.0.0.138"))) or die;
		my %from = map { my $a = recv(S, $got, 100, 0); ($got => $a) } 1, 2;
		send(S, $_, 0, $from{$_}) for sort keys %from;'
	wait_for serving udp 8080 "${near[@]}"
	# shellcheck disable=SC2016 # for perl
	spawn client perl -MSocket=:all -e '
		$| = 1;
		for (["a", 8080, "10.0.0.138"], ["b", 80, "10.0.0.10"]) {
			my ($name, $port, $host) = @$_;
			socket($s{$name}, PF_INET, SOCK_DGRAM, 0) or die;
			setsockopt($s{$name}, SOL_SOCKET, SO_REUSEADDR, 1) or die;
			bind($s{$name}, sockaddr_in(40000, inet_aton("10.0.0.1"))) or die;
			connect($s{$name}, sockaddr_in($port, inet_aton($host))) or die;
			send($s{$name}, $name, 0) or die;
			print "sent $name\n";
			<STDIN>;
		}
		for (sort keys %s) { recv($s{$_}, $got, 100, 0); print "$_ got $got\n" }'
	said client 'sent a'
	add udp 10.0.0.10 80 10.0.0.138 8080
	tell client on
	said client 'sent b'
	tell client on
	said client 'a got a'
	said client 'b got b'
	[ "$(status nat.source_ports_changed)" = 1 ]
}

# near sends by this host to far, from port 40000: first straight to the target, then by
# NAT. Both go on.
straight_and_by_nat()
{
	local before from=sourceport=4000$family,reuseaddr

	before=$(status nat.source_ports_changed)
	# shellcheck disable=SC2016 # for the server's shell
	serve target far "$1" 10.1.0.2 8080 'echo target from $SOCAT_PEERPORT; cat'
	add "$1" 10.9.0.1 80 10.1.0.2 8080
	spawn straight "${near[@]}" socat - "${1^^}$family:$(at 10.1.0.2 8080),$from"
	wait_for greeted straight "target from 4000$family"
	spawn other "${near[@]}" socat - "${1^^}$family:$(at 10.9.0.1 80),$from"
	wait_for greeted other 'target from [0-9]'
	run ! has_said other "target from 4000$family"
	echoed straight "straight on"
	echoed other "and the other"
	[ "$(status nat.source_ports_changed)" = $((before + 1)) ]
	stop straight
	stop other
	stop target
}

# The other way round: first by NAT, then straight to the target. The second flow gets
# another port, for the target could not tell them apart.
by_nat_and_straight()
{
	# shellcheck disable=SC2016 # for the server's shell
	serve target far "$1" 10.1.0.2 8080 'echo target from $SOCAT_PEERPORT; cat'
	add "$1" 10.9.0.1 80 10.1.0.2 8080
	spawn other "${near[@]}" socat - "${1^^}$family:$(at 10.9.0.1 80),sourceport=4100$family,reuseaddr"
	wait_for greeted other 'target from [0-9]'
	spawn straight "${near[@]}" socat - "${1^^}$family:$(at 10.1.0.2 8080),sourceport=4100$family,reuseaddr"
	wait_for greeted straight "target from [0-9]"
	echoed straight "straight on"
	echoed other "and the other"
	stop straight
	stop other
	stop target
}

@test "nat: a forwarded connection straight to the target that is older than the rule keeps its port" {
	forward_to_far
	# shellcheck disable=SC2016 # for the server's shell
	serve target far tcp 10.1.0.2 8080 'echo target from $SOCAT_PEERPORT; cat'
	spawn straight "${near[@]}" socat - TCP4:10.1.0.2:8080,sourceport=42000,reuseaddr
	wait_for greeted straight 'target from 42000'
	load_quick --nat h1
	add tcp 10.9.0.1 80 10.1.0.2 8080
	echoed straight "it goes on"
	spawn other "${near[@]}" socat - TCP4:10.9.0.1:80,sourceport=42000,reuseaddr
	wait_for greeted other 'target from [0-9]'
	run ! has_said other 'target from 42000'
	echoed straight "and on"
	echoed other "and the other"
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: a forwarded connection straight to the target, after one by NAT" {
	forward_to_far
	load_quick --nat h1 --nat-idle udp=60
	both_families by_nat_and_straight tcp
	both_families by_nat_and_straight udp
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: a forwarded connection straight to the target that was there first keeps its port" {
	forward_to_far
	load_quick --nat h1 --nat-idle udp=60
	both_families straight_and_by_nat tcp
	both_families straight_and_by_nat udp
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: tracked without translation: only traffic straight to a target, in half of the table" {
	forward_to_far
	load_quick --nat h1 --nat-flows 8
	serve target far udp 10.1.0.2 8080
	serve other far udp 10.1.0.2 8081
	"${near[@]}" nc -u -w 0 10.1.0.2 8080 <<<hello
	add udp 10.9.0.1 80 10.1.0.2 8080
	"${near[@]}" nc -u -w 0 10.1.0.2 8081 <<<hello
	"${near[@]}" nc -u -w 0 10.1.0.2 80 <<<hello
	flows 0
	# by one process, for the first flow ends a second later
	"${near[@]}" bash -c 'for _ in {1..8}; do echo hello >/dev/udp/10.1.0.2/8080; done'
	[ "$(status nat.new_flows)" = 4 ]
	[ "$(status nat.sent_directly_to_target)" = 4 ]
	[ "$(status nat.dropped_no_room)" = 0 ]
	answered target udp 10.9.0.1 80
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

forwarded_to_this_host()
{
	# shellcheck disable=SC2034 # for serve
	here=()
	add "$1" 10.9.0.1 80 10.0.0.1 8080
	serve target here "$1" 10.0.0.1 8080
	answered target "$1" 10.9.0.1 80
	stop target
	[ "$1" = udp ] || return 0
	refused_with_an_error 10.9.0.1
	serve target here udp 10.0.0.1 8080 cat
	large 10.9.0.1
	stop target
}

@test "nat: forwarded packets to a target on this host: answers, fragments and ICMP errors" {
	forward_to_far
	shunt load --nat h0 --nat h1
	client=("${near[@]}")
	both_families forwarded_to_this_host tcp
	both_families forwarded_to_this_host udp
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: a forwarded connection gets no port that a client of this host's has" {
	# shellcheck disable=SC2034 # for serve
	here=()
	forward_to_far
	load_quick --nat h1
	# shellcheck disable=SC2016 # for the server's shell
	serve target here tcp 10.0.0.1 8080 'echo target from $SOCAT_PEERPORT; cat'
	add tcp 10.9.0.1 80 10.0.0.1 8080
	spawn straight "${near[@]}" socat - TCP4:10.0.0.1:8080,sourceport=40000,reuseaddr
	wait_for has_said straight 'target from 40000'
	spawn other "${near[@]}" socat - TCP4:10.9.0.1:80,sourceport=40000,reuseaddr
	wait_for has_said other 'target from [0-9]'
	run ! has_said other 'target from 40000'
	echoed straight "straight on"
	echoed other "and the other"
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: a rule for an address that was a target finds the flows that go straight there" {
	forward_to_far
	load_quick --nat h1 --nat-idle udp=60
	serve old far udp 10.1.0.2 8080
	serve new far udp 10.1.0.2 8081
	add udp 10.9.0.1 80 10.1.0.2 8080
	spawn client "${near[@]}" socat - UDP4:10.1.0.2:8080
	wait_for greeted client old
	flows 1
	add udp 10.1.0.2 8080 10.1.0.2 8081
	wait_for greeted client new
	flows 1
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

@test "nat: rules come and go: existing flows and connections stay as they are" {
	load_quick
	serve other near tcp 10.0.0.10 80
	serve target near tcp 10.0.0.138 8080
	spawn direct nc 10.0.0.10 80
	wait_for has_said direct other
	add tcp 10.0.0.10 80 10.0.0.138 8080
	spawn hold nc 10.0.0.10 80
	wait_for has_said hold target
	shunt nat flush
	answered other tcp 10.0.0.10 80
	tell direct on
	tell hold on
	wait_for grep -q on "$BATS_TEST_TMPDIR/direct.out"
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold.out"
}

# from_port PORT DPORT: connects from that port, prints the server's answer, and resets
from_port()
{
	timeout 10 socat -u "TCP4:10.0.0.10:$2,sourceport=$1,reuseaddr,linger=0" - 3>&-
}

@test "nat: a closed flow that begins again is matched with the rules" {
	load_quick --nat-idle closed=60
	serve other near tcp 10.0.0.10 80 'echo other'
	serve old near tcp 10.0.0.138 8080 'echo old'
	serve new far tcp 10.1.0.2 8080 'echo new'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	[ "$(from_port 40000 80)" = old ]
	[ "$(from_port 40000 80)" = old ]
	flows 1
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(from_port 40000 80)" = new ]
	flows 1
	shunt nat flush
	[ "$(from_port 40000 80)" = other ]
	flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
}

asked_twice()
{
	[ "$(shunt -j nat flows | jq '.[0].out_packets')" -ge 2 ]
}

@test "nat: a request without an answer reaches the new target when it is sent again" {
	load_quick --nat-idle opening=60
	"${near[@]}" ip route add blackhole 10.0.0.1/32 # answers are lost
	add tcp 10.0.0.10 80 10.0.0.138 8080
	serve new far tcp 10.1.0.2 8080
	spawn client nc 10.0.0.10 80
	wait_for asked_twice
	add tcp 10.0.0.10 80 10.1.0.2 8080
	wait_for has_said client new
	flows 1
}

# --- many -----------------------------------------------------------------------------

@test "nat: 10,000 connections through one rule and through 1,000 rules" {
	serve_load 5000
	load_quick
	add tcp 10.0.0.10 20000 10.0.0.138 5000
	"$BENCH/natload" connect 10.0.0.10 20000 -n 10000 3>&-
	printf 'nat tcp dst 10.0.0.10 dport %s to 10.0.0.138:5000\n' {20000..20999} | shunt apply -
	"$BENCH/natload" connect 10.0.0.10 20000 -n 10000 -p 1000 3>&-
	[ "$(status nat.rules)" = 1000 ]
	[ "$(status nat.new_flows)" -ge 15000 ]
	[ "$(status nat.dropped_no_room)" = 0 ]
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
	[ "$(shunt -j nat list | jq 'map(select(.flows > 0)) | length')" = 1000 ]
}

serve_load()
{
	spawn load "${near[@]}" "$BENCH/natload" serve 10.0.0.138 "$1"
	said load ready
}

# --- the command -----------------------------------------------------------------------

# refuses REGEX WORD...: the command exits with 2, prints one line that matches, and
# changes nothing
refuses()
{
	local before

	before=$(shunt nat list)
	run -2 "$SHUNT" nat "${@:2}"
	[ ${#lines[@]} = 1 ]
	[[ $output =~ $1 ]]
	[ "$(shunt nat list)" = "$before" ]
}

@test "nat: wrong words are refused, and nothing changes" {
	shunt load --nat h0
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:8080
	refuses "'icmp'" add icmp dst 10.0.0.10 to 10.0.0.138
	refuses "'10.0.0'" add tcp dst 10.0.0 to 10.0.0.138
	refuses "needs 'dst" add tcp dport 80 to 10.0.0.138
	refuses "needs 'to" add tcp dst 10.0.0.10
	refuses "'0'" add tcp dst 10.0.0.10 dport 0 to 10.0.0.138
	refuses "'x'" add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:x
	refuses 'IPv6' add tcp dst 10.0.0.10 to fd00::1
	refuses '/24' add tcp dst 10.0.0.0/24 to 10.1.0.0/16
	refuses 'as many as dport has' add tcp dst 10.0.0.10 dport 80-90 to 10.0.0.138:1-5
	refuses 'twice' add tcp dst 10.0.0.10 dst 10.0.0.11 to 10.0.0.138
	refuses "'to': a value" add tcp dst 10.0.0.10 to
	refuses "'src'" add tcp dst 10.0.0.10 src 10.0.0.1 to 10.0.0.138
	refuses 'did you mean 10.0.0.0/24' add tcp dst 10.0.0.10/24 to 10.0.0.138
	refuses "'10.0.0.0/08'" add tcp dst 10.0.0.0/08 to 10.0.0.138
	refuses "'00080'" add tcp dst 10.0.0.10 dport 00080 to 10.0.0.138
	refuses "'x'" del tcp dst 10.0.0.10 dport x
}

@test "nat: rules without any effect are refused, and nothing changes" {
	local range=10.0.0.10:80-90

	shunt load --nat h0
	refuses "'to 10.0.0.10'.* nothing would change" add tcp dst 10.0.0.10 dport 80 to 10.0.0.10
	refuses "'to 10.0.0.10:80'.* nothing would change" add tcp dst 10.0.0.10 dport 80 to 10.0.0.10:80
	refuses "'to $range'.* nothing would change" add tcp dst 10.0.0.10 dport 80-90 to $range
	refuses "'to 10.0.0.0/24'.* nothing would change" add udp dst 10.0.0.0/24 to 10.0.0.0/24
	refuses "'to fd00::10'.* nothing would change" add tcp dst fd00::10 to fd00::10
	refuses "'dst 224.0.0.5'.*multicast" add udp dst 224.0.0.5 to 10.0.0.138
	refuses "'dst 239.0.0.0/8'.*multicast" add udp dst 239.0.0.0/8 to 10.0.0.138
	refuses "'to 224.0.0.5:80'.*multicast" add udp dst 10.0.0.10 to 224.0.0.5:80
	refuses "'to \[?ff02::1\]?:80'.*multicast" add udp dst fd00::10 to '[ff02::1]:80'
	refuses "'dst 255.255.255.255'.*broadcast" add udp dst 255.255.255.255 to 10.0.0.138
	refuses "'dst 0.0.0.0'.*no host" add tcp dst 0.0.0.0 to 10.0.0.138
	refuses "'to 0.0.0.0:80'.*no host" add tcp dst 10.0.0.10 to 0.0.0.0:80
	refuses "'dst ::'.*no host" add tcp dst :: to fd00::10
	# these rules have an effect
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.10:8080
	shunt nat add tcp dst 10.0.0.0/24 dport 80-90 to 10.0.0.10:80-90
	shunt nat add udp dst 10.0.0.10 to 10.0.0.10:80
	shunt nat add udp dst 0.0.0.0/0 dport 53 to 10.0.0.138
	[ "$(status nat.rules)" = 4 ]
}

loopback()
{
	serve target here "$1" 127.0.0.1 8080
	shunt nat add "$1" dst 10.0.0.10 dport 80 to 127.0.0.1:8080
	answered target "$1" 10.0.0.10 80
	run -0 "$SHUNT" nat add "$1" dst 127.0.0.5 dport 80 to 127.0.0.1:8080
	[[ ! $output =~ warning ]]
	answered target "$1" 127.0.0.5 80
	stop target
	run -0 "$SHUNT" nat add "$1" dst 127.0.0.6 dport 80 to 10.0.0.138:8080
	[[ $output == *"warning: what this host sends to 127.0.0.6 has a source that can't leave it"* ]]
}

@test "nat: 127.0.0.1 as a target, and as the old destination of a target on this host" {
	# shellcheck disable=SC2034 # for serve
	here=()
	shunt load --nat h0
	loopback tcp
	loopback udp
}

@test "nat: add, list, del and flush, twice each; add reads what list prints" {
	local rules

	shunt load --nat h0
	while read -r words; do
		# shellcheck disable=SC2086 # words
		shunt nat add $words
	done <<-END
		tcp dst 10.0.0.10 dport 80 to 10.0.0.138:8080
		udp dst 10.0.0.0/24 to 10.1.0.0/24
		tcp dst 10.0.0.10 dport 90-99 to 10.0.0.138:8090-8099
		udp dst fd00::a00:a dport 53 to [fd00::a01:2]:5353
		tcp dst fd00::a00:0/120 dport 1-9 to [fd00::a01:0/120]:11-19
	END
	rules=$(shunt nat list | sed 's/ *flows.*//')
	[ "$(wc -l <<<"$rules")" = 5 ]
	while read -r words; do
		# shellcheck disable=SC2086 # words
		shunt nat add $words 2>&1 | grep -q 'already there'
	done <<<"$rules"
	[ "$(shunt nat list | sed 's/ *flows.*//')" = "$rules" ]
	[ "$(shunt -j nat list | jq -c '.[0] | [.proto, .dst, .dport, .to]')" = \
		'["tcp","10.0.0.10","80","10.0.0.138:8080"]' ]
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:9 2>&1 | grep -q 'replaced by'
	[ "$(status nat.rules)" = 5 ]
	shunt nat del tcp dst 10.0.0.10 dport 80
	shunt nat del tcp dst 10.0.0.10 dport 80 2>&1 | grep -q 'no such rule: tcp dst 10.0.0.10 dport 80;'
	[ "$(status nat.rules)" = 4 ]
	shunt nat flush
	shunt nat flush
	[ "$(status nat.rules)" = 0 ]
	[ "$(map_entries shunt_nat_match)" = 0 ]
}

@test "nat: nat add when not loaded, and when loaded without NAT; the same load again" {
	run -1 "$SHUNT" nat add tcp dst 10.0.0.10 to 10.0.0.138
	[[ $output =~ 'not loaded' ]]
	load_eager
	run -1 "$SHUNT" nat add tcp dst 10.0.0.10 to 10.0.0.138
	[[ $output =~ '--nat' ]]
	unload
	shunt load --nat h0
	shunt nat add tcp dst 10.0.0.10 to 10.1.0.2
	shunt load --nat h0 2>&1 | grep -q 'already loaded'
	[ "$(status nat.rules)" = 1 ]
	run -1 "$SHUNT" load --nat h0 --nat-flows 7
}

@test "nat: a target without a route: a warning, and the rule is added" {
	shunt load --nat h0
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 80 to 192.0.2.1:8080
	[ "$output" = "shunt: warning: this host has no route to the target 192.0.2.1; when it has one, \
add the rule again" ]
	[ "$(status nat.rules)" = 1 ]
	run -0 "$SHUNT" nat add udp dst fd00::a00:a to 2001:db8::1
	[[ $output =~ 'no route to the target 2001:db8::1;' ]]
	ip route add 192.0.2.0/24 via 10.1.0.2
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 80 to 192.0.2.1:8080
	[[ ! $output =~ warning ]]
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 81 to 10.0.0.1 # this host
	[[ ! $output =~ warning ]]
}

@test "nat: a destination without a route: a warning, and the rule is added" {
	shunt load --nat h0
	run -0 "$SHUNT" nat add tcp dst 192.0.2.1 dport 80 to 10.0.0.138:8080
	[ "$output" = "shunt: warning: this host has no route to the destination 192.0.2.1, and without \
one nothing sent there gets as far as NAT" ]
	[ "$(status nat.rules)" = 1 ]
	printf 'nat tcp dst 192.0.2.%s to 10.0.0.138\n' 1 2 3 | shunt apply - 2>&1 |
		grep 'no route to the destinations of 3 rules, such as 192.0.2.1,'
	# some address of a prefix may have a route
	run -0 "$SHUNT" nat add tcp dst 192.0.0.0/16 dport 80 to 10.0.0.138:8080
	[[ ! $output =~ warning ]]
}

@test "nat: flows without an answer are marked in the list, and counted when they end" {
	load_quick
	add udp 10.0.0.10 80 10.1.0.9 8080 # nobody is there
	nc -u -w 0 10.0.0.10 80 <<<hello
	shunt nat flows | grep 'in 0 packets 0 bytes  idle [0-9]* s  no answer yet$'
	serve target far udp 10.1.0.2 8080
	add udp 10.0.0.10 81 10.1.0.2 8080
	answered target udp 10.0.0.10 81
	[ "$(shunt nat flows | grep -c ' to 10.1.0.2:8080 .*no answer')" = 0 ]
	wait_for flows 0
	[ "$(status nat.unanswered_flows)" = 1 ]
	shunt status | grep '1 ended without an answer'
	metric 'nat_unanswered_flows_total 1'
}

# metric LINE: 'shunt metrics' prints this line
metric()
{
	shunt metrics | grep -Fx "shunt_$1"
}

@test "nat: metrics: the counters of NAT, where it is attached" {
	shunt load --iface h1
	run ! metric 'nat_rules 0'
	serve target near tcp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	metric 'attached{kind="nat",name="h0"} 1'
	metric 'nat_rules 1'
	metric 'nat_flows 1'
	metric 'nat_new_flows_total 1'
	metric 'nat_max_flows 65536'
	metric "nat_rewritten_packets_total $(status nat.rewritten_packets)"
	! command -v promtool >/dev/null || shunt metrics | promtool check metrics
}

nat_ifaces()
{
	status 'nat.ifaces | map(.name) | join(" ")'
}

@test "nat: attached with the first rule, detached by flush when no flow is left" {
	run -1 "$SHUNT" nat list
	load_quick
	serve target far tcp 10.1.0.2 8080
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(nat_ifaces)" = "h0 h1" ]
	answered target tcp 10.0.0.10 80
	shunt nat flush 2>&1 | grep -q 'stays attached'
	[ "$(nat_ifaces)" = "h0 h1" ]
	wait_for flows 0
	[ -z "$(shunt nat list)" ]
	[ "$(nat_ifaces)" = h0 ]
	nothing_on h1
	# deleting the last rule detaches, also by a file
	add tcp 10.0.0.10 80 10.1.0.2 8080
	shunt nat del tcp dst 10.0.0.10 dport 80
	shunt nat list
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(nat_ifaces)" = "h0 h1" ]
	shunt apply /dev/null
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	answered target tcp 10.0.0.10 80
}

nat_is_on()
{
	[ "$(nat_ifaces)" = "$1" ]
}

@test "nat: the supervisor detaches NAT when the last flow has ended" {
	load_quick
	spawn supervisor "$SHUNT" run
	serve target far tcp 10.1.0.2 8080
	add tcp 10.0.0.10 80 10.1.0.2 8080
	answered target tcp 10.0.0.10 80
	shunt nat flush 2>&1 | grep -q 'stays attached until they have ended'
	wait_for nat_is_on h0
	flows 0
	nothing_on h1
}

@test "nat: an interface that was made again: the same rule again attaches NAT" {
	serve target near tcp 10.0.0.138 8080
	shunt load --iface h1
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	ip link del h0
	[ "$(status 'nat.ifaces | map(select(.name == "h0")) | .[0].attached')" = false ]
	ip link add h0 type veth peer name n0 netns "${near_file:?}"
	ip addr add 10.0.0.1/24 dev h0
	ip link set h0 up
	"${near[@]}" ip addr add 10.0.0.10/24 dev n0
	"${near[@]}" ip addr add 10.0.0.138/24 dev n0
	"${near[@]}" ip link set n0 up
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
}

# --- lo's forwarding ------------------------------------------------------------------

lo_forwards()
{
	[ "$(cat /proc/sys/net/ipv4/conf/lo/forwarding)" = "$1" ]
}

@test "nat: two shunts with NAT: the last one to leave restores lo's forwarding" {
	lo_forwards 0
	shunt load --nat h0
	other load --nat h1
	lo_forwards 1
	unload
	lo_forwards 1
	# and so does one that is asked for NAT after it was loaded
	shunt load --iface h0
	add tcp 10.0.0.10 80 10.1.0.2 8080
	other unload
	lo_forwards 1
	unload
	lo_forwards 0
}

@test "nat: lo's forwarding after unload is what the kernel would have set" {
	shunt load --nat h0
	sysctl -qw net.ipv4.ip_forward=1
	unload
	lo_forwards 1
	# a value that somebody set for lo alone is restored
	sysctl -qw net.ipv4.conf.lo.forwarding=0
	shunt load --nat h0
	lo_forwards 1
	unload
	lo_forwards 0
	sysctl -qw net.ipv4.conf.lo.forwarding=1
	shunt load --nat h0
	unload
	lo_forwards 1
	shunt load --nat h0
	sysctl -qw net.ipv4.ip_forward=0
	unload
	lo_forwards 0
}

# --- beside steering and bypass -----------------------------------------------------------

# A steering rule for everything must not take the answers.
@test "nat: with steering on the same interface: answers get their addresses first" {
	shunt load --iface h0
	shunt steer add tcp dst 0.0.0.0/0 to 127.0.0.1:9
	shunt steer add udp dst 0.0.0.0/0 to 127.0.0.1:9
	serve target near tcp 10.0.0.138 8080
	serve udp near udp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	answered udp udp 10.0.0.10 80
	shunt nat flush
	# packets of near are steered as before
	"${near[@]}" timeout 1 nc -w 1 10.0.0.1 7 3>&- || true
	[ "$(status steer.no_listener)" -ge 1 ]
}

@test "nat: with steering: a router's connection to its server goes by NAT" {
	ip route add 192.0.2.0/24 dev h0
	"${near[@]}" ip route add 198.51.100.0/24 via 10.0.0.1
	shunt load --iface h0
	shunt steer add tcp dst 198.51.100.0/24 dport 80 to 127.0.0.1:9001
	serve target far tcp 10.1.0.2 8080
	add tcp 10.0.0.10 80 10.1.0.2 8080
	spawn router socat TCP4-LISTEN:9001,bind=127.0.0.1,fork,reuseaddr,ip-transparent \
		TCP4:10.0.0.10:80
	wait_for serving tcp 9001
	[ "$(echo hello | "${near[@]}" timeout 10 nc -N -w 5 198.51.100.7 80 3>&-)" = \
		target$'\n'hello ]
	[ "$(status steer.steered_flows)" = 1 ]
	[ "$(status nat.new_flows)" = 1 ]
	ip route del 192.0.2.0/24 dev h0
}

@test "nat: with bypass: a target on this host is a pair, by NAT" {
	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP=eager" --host-bytes $((kib * 64)) --nat h0 --iface h1
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn target in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo target; cat'
	wait_for serving tcp 8080
	spawn client in_cgroup nc 10.0.0.10 80
	wait_for has_said client target
	tell client bypassed
	wait_for grep -q bypassed "$BATS_TEST_TMPDIR/client.out"
	[ "$(status bypass.pairs)" = 1 ]
	status_is bypass.redirected_bytes -gt 0
	[ "$(status nat.flows)" = 1 ]
}

@test "nat: with bypass: an excluded port is excluded behind NAT, at either end" {
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP=eager" --exclude port:8080 --nat h0 --iface h1
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn target in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo target; cat'
	wait_for serving tcp 8080
	spawn client in_cgroup nc 10.0.0.10 80
	wait_for has_said client target
	no_sockets
}

# A connection of near is steered to the router. NAT sends the router's own connection to a
# service on this host, and these two ends bypass the stack.
@test "nat: steering, NAT and bypass in one path" {
	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	mkdir -p "$CGROUP"
	"${near[@]}" ip route add 198.51.100.0/24 via 10.0.0.1
	shunt load --cgroup "$CGROUP=eager" --host-bytes $((kib * 64)) --iface h0
	shunt steer add tcp dst 198.51.100.0/24 dport 80 to 127.0.0.1:9001
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn service in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo service; cat'
	spawn router in_cgroup socat TCP4-LISTEN:9001,bind=127.0.0.1,fork,reuseaddr,ip-transparent \
		TCP4:10.0.0.10:80
	wait_for serving tcp 8080
	wait_for serving tcp 9001
	spawn client "${near[@]}" nc 198.51.100.7 80
	wait_for has_said client service
	tell client all three
	wait_for grep -q 'all three' "$BATS_TEST_TMPDIR/client.out"
	[ "$(status steer.steered_flows)" = 1 ]
	[ "$(status nat.flows)" = 1 ]
	[ "$(status bypass.pairs)" = 1 ]
	status_is bypass.redirected_bytes -ge 10
}
