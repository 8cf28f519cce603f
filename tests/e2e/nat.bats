#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT: addresses, ports, bytes, checksums, fragments and ICMP errors. nat.bash has the hosts.

load ../lib/nat

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
