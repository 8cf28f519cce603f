#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Packets of every shape. Well-formed packets meet their rule, whatever the device and the
# headers. Malformed packets only count.

# shellcheck disable=SC2154 # find_hosts sets client, ask answer
load ../lib/steer

# --- right and wrong ones ----------------------------------------------------

rules_for_all()
{
	local family

	for family in 4 6; do
		add tcp dst 10.1.2.3 to 127.0.0.1:9001
		add udp dst 10.1.2.3 to 127.0.0.1:9001
	done
}

@test "steer: malformed packets: truncated at each byte, wrong lengths, chains of headers, random bytes" {
	serve_router router 9001
	rules_for_all
	"$PEERS/packets" "$PIN_DIR/steering" shunt_steer 100000
	add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	"$PEERS/packets" "$PIN_DIR/steering" shunt_local 20000
	"$PEERS/packets" "$PIN_DIR/steering" shunt_arrive 20000
	# the malformed packets have broken nothing
	meets 9001 tcp 10.1.2.3 80
	meets 9001 udp 10.1.2.3 80
}

# --- devices -----------------------------------------------------------------

# wired [OPTION]...: the client's packets for 10.1.2.3 arrive on a device w0, which
# peers/wire.c makes. Steering is attached to it, too.
wired()
{
	local result=0

	spawn wire "$PEERS/wire" "$@" w0 /proc/self/ns/net "$BATS_FILE_TMPDIR/netns-client"
	said wire ready || result=$?
	if ! is_running wire; then
		reap wire || result=$?
		[ $result != 77 ] || skip "no tun devices in this kernel"
		return 1
	fi
	ip -batch - <<-END
		link set w0 mtu 9000 addrgenmode none up
		addr add 198.18.9.1/24 dev w0
		addr add fd00::c612:901/120 dev w0 nodad
	END
	"${client[@]}" ip -batch - <<-END
		link set w0 mtu 9000 addrgenmode none up
		addr add 198.18.9.2/24 dev w0
		addr add fd00::c612:902/120 dev w0 nodad
		route add 10.1.2.3 dev w0 via 198.18.9.1
		route add fd00::a01:203 dev w0 via fd00::c612:901
	END
	reload_steer --iface w0
	serve_router router 9001
	rules_for_all
}

# The flows of both protocols and families, and packets of 8000 bytes, arrive.
arrives()
{
	local file back=$BATS_TEST_TMPDIR/back family

	file=$(big 1)
	for family in 4 6; do
		meets 9001 tcp 10.1.2.3 80 198.18.9.2
		meets 9001 udp 10.1.2.3 80 198.18.9.2
		ask --size 8000 udp 10.1.2.3 80
		[[ $answer == *via=9001* ]]
		endpoint 10.1.2.3 80
		"${client[@]}" timeout 60 socat -t 20 - "TCP$family:$REPLY" <"$file" >"$back"
		tail -c $((1 << 20)) "$back" | cmp - "$file" # behind its greeting
	done
	[ "$(counter malformed)" = 0 ]
	[ "$(counter no_listener)" = 0 ]
}

@test "steer: a device without an Ethernet header" {
	need socat
	wired --tun
	arrives
}

@test "steer: a packet with a VLAN tag" {
	need socat
	wired --tags 1
	arrives
}

@test "steer: a packet with two VLAN tags" {
	need socat
	wired --tags 2
	arrives
}

@test "steer: packets whose headers are not in the linear part" {
	need socat
	wired --header 16
	arrives
}

@test "steer: packets whose headers are not in the linear part, without an Ethernet header" {
	need socat
	wired --tun --header 1
	arrives
}

# --- fragments ---------------------------------------------------------------

# Asks with 3000 bytes until the answer is the router's: the first datagram
# only makes its listener known to the supervisor.
large_arrives()
{
	ask --size 3000 "$@"
	[[ $answer == *via=9001* ]]
}

fragments_arrive()
{
	local before

	add udp dst 10.1.2.3 dport 5060 to 127.0.0.1:9001
	before=$(counter fragments)
	wait_for large_arrives udp 10.1.2.3 5060
	[ "$(counter fragments)" -ge $((before + 3)) ]
	# at once by now, in one piece or three, from any port; the answer comes from there
	before=$(counter fragments)
	ask --from 198.18.0.2 --sport 4711 --size 3000 udp 10.1.2.3 5060
	endpoint 10.1.2.3 5060
	[[ $answer == "local=$REPLY remote="*":4711 via=9001 by=listener from=$REPLY" ]]
	meets 9001 udp 10.1.2.3 5060 198.18.0.2 4711
	large_arrives udp 10.1.2.3 5060
	[ "$(counter fragments)" = $((before + 6)) ]
	# other ports, pass rules, a deleted rule
	ask --size 3000 udp 10.1.2.3 80
	[[ $answer == *via=beyond* ]]
	add udp dst 10.1.2.3 dport 5060 src 198.18.0.3 pass
	ask --from 198.18.0.3 --size 3000 udp 10.1.2.3 5060
	[[ $answer == *via=beyond* ]]
	del udp dst 10.1.2.3 dport 5060
	ask --size 3000 udp 10.1.2.3 5060
	[[ $answer == *via=beyond* ]]
}

@test "steer: fragmented datagrams reach the router" {
	serve_router router 9001
	supervise
	each_family fragments_arrive udp
	[ "$(counter no_listener)" = 0 ]
}

@test "steer: fragmented datagrams reach a listener for all addresses, and one that was restarted" {
	supervise
	serve router router udp 0.0.0.0 9001
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	wait_for large_arrives udp 10.1.2.3 5060
	stops router
	serve router router udp 127.0.0.1 9001
	wait_for large_arrives udp 10.1.2.3 5060
}

# To an address of the router, where its reply socket takes what comes without
# a rule.
rule_goes()
{
	local -a flow=(--from 198.18.0.2 --sport 4714)

	add udp dst 198.18.0.1 dport 5060 to 127.0.0.1:9001
	wait_for large_arrives "${flow[@]}" udp 198.18.0.1 5060
	ask "${flow[@]}" --size 3000 udp 198.18.0.1 5060
	[[ $answer == *by=listener* ]]
	del udp dst 198.18.0.1 dport 5060
	ask "${flow[@]}" udp 198.18.0.1 5060
	[[ $answer == *by=flow* ]]
	ask "${flow[@]}" --size 3000 udp 198.18.0.1 5060
	[[ $answer == *by=flow* ]]
	# another rule that takes the old one's place in the counters
	add udp dst 198.18.0.1 dport 5060 src 198.18.0.3 to 127.0.0.1:9001
	ask "${flow[@]}" udp 198.18.0.1 5060
	[[ $answer == *by=flow* ]]
}

@test "steer: fragmented datagrams no longer reach the listener when their rule is deleted" {
	serve_router router 9001
	supervise
	each_family rule_goes udp
}

# fragment FLAGS_AND_OFFSET BYTES: an IPv4 packet of identification 0x1234 from the
# client to 10.1.2.3; all but the offset and what follows the header in hexadecimal
fragment()
{
	local header i sum=0

	printf -v header '4500%04x1234%s4011' $((20 + ${#2} / 2)) "$1"
	for ((i = 0; i < 20; i += 4)); do
		sum=$((sum + 0x${header:i:4}))
	done
	sum=$((sum + 0xc612 + 0x0002 + 0x0a01 + 0x0203))
	sum=$(((sum & 0xffff) + (sum >> 16)))
	printf '%s%04x%s%s\n' "$header" $((~sum & 0xffff)) c61200020a010203 "$2"
}

# datagram PORT: two fragments, of 16 and 8 bytes
datagram()
{
	fragment 2000 "0fa0$(printf %04x "$1")001800006162636465666768"
	fragment 0002 6162636465666768
}

# received: datagrams that beyond's sockets have read
received()
{
	"${beyond[@]}" nstat -asz UdpInDatagrams | awk '$1 == "UdpInDatagrams" { print $2 }'
}

has_received()
{
	[ "$(received)" -ge "$1" ]
}

@test "steer: a fragmented datagram without a rule, with the IP identification of a steered one" {
	local before

	serve_router router 9001
	supervise
	add udp dst 10.1.0.0/16 dport 5060 to 127.0.0.1:9001
	wait_for large_arrives --from 198.18.0.2 udp 10.1.2.3 5060
	before=$(counter steered_packets)
	# shellcheck disable=SC2046 # a packet for each word
	"${client[@]}" "$PEERS/raw" c0 "$ROUTER_MAC" $(datagram 5060)
	wait_for counted steered_packets $((before + 2))
	before=$(received)
	# shellcheck disable=SC2046
	"${client[@]}" "$PEERS/raw" c0 "$ROUTER_MAC" $(datagram 5061)
	wait_for has_received $((before + 1))
}

connected_takes()
{
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	ask --from 198.18.0.2 --sport 4712 udp 10.1.2.3 80
	[[ $answer == *via=9001\ by=listener* ]]
	ask --from 198.18.0.2 --sport 4712 --size 3000 udp 10.1.2.3 80
	[[ $answer == *via=9001\ by=flow* ]]
}

@test "steer: fragmented datagrams of a connected UDP socket need no supervisor" {
	serve_router router --connect 9001
	each_family connected_takes udp
}

@test "steer: fragmented datagrams that connection tracking reassembles" {
	need nft
	nft add table inet watch
	nft 'add chain inet watch in { type filter hook prerouting priority 0 ; }'
	nft 'add rule inet watch in ct state invalid counter'
	serve_router router 9001
	supervise
	each_family fragments_arrive udp
	nft delete table inet watch
}

# --- for many hosts ----------------------------------------------------------

# to_many MAC ADDRESS: sends a datagram to that address, without a checksum
to_many()
{
	"${client[@]}" "$PEERS/raw" c0 "$1" "4500001c0000000001110000c6120002${2}0fa014e900080000"
}

send_to_many()
{
	local net=fd000000000000000000000

	to_many ff:ff:ff:ff:ff:ff ffffffff
	to_many ff:ff:ff:ff:ff:ff c61200ff
	to_many 01:00:5e:00:00:fb e00000fb
	# as from a device without such addresses
	to_many "$ROUTER_MAC" e00000fb
	"${client[@]}" "$PEERS/raw" c0 33:33:00:00:00:fb \
		"6000000000081101${net}0c6120002ff0200000000000000000000000000fb0fa014e900080000" \
		"6000000000081101${net}0c6120002ff0500000000000000000000000000fb0fa014e900080000"
}

# foretold VIA: 'steer test' predicts VIA for these packets
foretold()
{
	predicted "$1" udp 255.255.255.255 5353
	predicted "$1" udp 198.18.0.255 5353
	predicted "$1" udp 224.0.0.251 5353
	predicted "$1" udp ff02::fb 5353 fd00::1
	predicted "$1" udp ff05::fb 5353 fd00::1
}

@test "steer: multicast and broadcast are steered by rules that name them, not by rules for all destinations" {
	serve_router router 9001
	shunt steer add udp dst 0.0.0.0/0 to 127.0.0.1:9001
	shunt steer add udp dst 198.18.0.128/25 to 127.0.0.1:9001
	shunt steer add udp dst ::/0 to '[::1]:9001'
	send_to_many
	# this one comes after them
	meets 9001 udp 10.1.2.3 80
	[ "$(counter steered_packets)" = 1 ]
	foretold beyond
	predicted 9001 udp 198.18.0.254 5353

	shunt steer add udp dst 255.255.255.255 to 127.0.0.1:9001
	shunt steer add udp dst 198.18.0.255 to 127.0.0.1:9001
	shunt steer add udp dst 224.0.0.0/4 to 127.0.0.1:9001
	shunt steer add udp dst ff00::/8 to '[::1]:9001'
	send_to_many
	wait_for counted steered_packets 7
	foretold 9001
}

# --- not for this host -------------------------------------------------------

@test "steer: packets for other hosts, seen in promiscuous mode, are left alone" {
	serve_router router 9001
	rules_for_all
	"${client[@]}" "$PEERS/raw" c0 02:00:00:00:00:99 \
		4500001c00000000401166e1c61200020a0102030fa0005000080000
	# this one comes after it
	meets 9001 udp 10.1.2.3 80
	[ "$(counter steered_packets)" = 1 ]
	[ "$(counter no_listener)" = 0 ]
	[ "$(counter malformed)" = 0 ]
}
