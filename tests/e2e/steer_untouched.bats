#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What steering leaves alone: services of the host and forwarded packets, packets that are
# not whole, another shunt and other programs at the interface. steer.bash draws the hosts.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer

teardown()
{
	unwatch_marks 2>/dev/null || true
	clean_up_steer
}

# --- what is not touched -----------------------------------------------------

own_service()
{
	add "$1" dst 10.1.0.0/16 dport 443 to 127.0.0.1:9001
	meets own "$1" 198.18.0.1 80
	meets beyond "$1" 10.1.2.3 80
	meets beyond "$1" 10.2.0.1 443
	[ "$(seen marked)" = 0 ]
}

@test "steer: what no rule matches is not touched: services of the host, forwarded packets" {
	local plain

	need nft
	serve_router router 9001
	serve own router --plain --name own tcp 198.18.0.1 80 udp 198.18.0.1 80 \
		tcp fd00::c612:1 80 udp fd00::c612:1 80
	watch_marks
	plain=$(seen plain)
	each_way own_service
	[ "$(seen plain)" -gt $((plain + 20)) ]
	[ "$(counter steered_packets)" = 0 ]

	# the counter does count
	add udp dst 10.1.0.0/16 dport 443 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 443
	[ "$(seen marked)" = 1 ]
}

own_connection()
{
	add tcp dst 0.0.0.0/0 to 127.0.0.1:9001
	meets 9001 tcp 10.1.2.3 80
	from router meets beyond tcp 10.1.2.3 80 198.19.0.1
}

@test "steer: answers to the router's own connections are left alone, also by a rule for everything" {
	serve_router router 9001
	reload_steer --iface r0 --iface r1
	each_family own_connection tcp
}

wildcard()
{
	add "$1" dst 10.1.0.0/16 dport 80 to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80
	meets host "$1" 198.18.0.1 80
}

@test "steer: a listener on 0.0.0.0 at the same port does not shadow a rule" {
	serve_router router 9001
	serve host router --plain --name host tcp 0.0.0.0 80 tcp :: 80 udp 0.0.0.0 80 udp :: 80
	each_way wildcard
}

fragmented()
{
	local before

	add udp dst 10.1.2.3 dport 5060 to 127.0.0.1:9001
	serve_router router 9001
	before=$(counter fragments)
	ask --size 3000 udp 10.1.2.3 5060
	[[ $answer == *via=beyond* ]]
	[ "$(counter fragments)" = $((before + 3)) ]
	meets 9001 udp 10.1.2.3 5060
	stops router
}

# Without a supervisor nobody looks for a listener that starts after its rule.
@test "steer: without a supervisor fragments are not steered, and counted" {
	each_family fragmented udp
}

# ipv4 LENGTH PROTOCOL REST: in hexadecimal, from the client to 10.1.2.3
ipv4()
{
	echo "4500${1}0000000040${2}0000c61200020a010203$3"
}

ipv6()
{
	local net=fd000000000000000000000

	echo "60000000${1}${2}40${net}0c6120002${net}00a010203$3"
}

@test "steer: malformed packets are counted, and nothing else" {
	local ports=0fa00050 sent
	local -a packets=(
		"$(ipv4 001c 06 ${ports}00000000)"      # TCP, 8 bytes of it
		"$(ipv4 0018 11 $ports)"                # UDP, 4 bytes of it
		"$(ipv4 000a 11 ${ports}00080000)"      # shorter than its own header
		"$(ipv4 001c 11 | head -c 20)"          # half a header
		"44$(ipv4 001c 11 ${ports}00080000 | cut -c 3-)" # header length 16
		"55$(ipv4 001c 11 ${ports}00080000 | cut -c 3-)" # version 5
		"$(ipv6 0008 06 ${ports}00000000)"      # TCP, 8 bytes of it
		"$(ipv6 0004 11 $ports)"                # UDP, 4 bytes of it
		"$(ipv6 0000 3c)"                       # the extension header is missing
		"$(ipv6 0008 3c 1100010400000000)"      # nothing behind it
		"$(ipv6 0008 3c 11ff010400000000)"      # it says to be 2 KiB long
	)

	serve_router router 9001
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	"${client[@]}" "$PEERS/raw" c0 "$ROUTER_MAC" "${packets[@]}"
	sent=${#packets[@]}
	wait_for counted malformed "$sent"
	[ "$(counter malformed)" = "$sent" ]
	[ "$(counter steered_packets)" = 0 ]
	[ "$(counter no_listener)" = 0 ]
	meets 9001 udp 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
}

@test "steer: a second shunt on the interface: neither steers the other's flows" {
	serve_router router 9001 9002
	other load --iface r0 --mark 0x2000000 --table 20561
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	other steer add tcp dst 10.2.0.1 to 127.0.0.1:9002
	meets 9001 tcp 10.1.2.3 80
	meets 9002 tcp 10.2.0.1 80

	unload
	meets beyond tcp 10.1.2.3 80
	meets 9002 tcp 10.2.0.1 80

	shunt load --iface r0
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	other unload
	meets 9001 tcp 10.1.2.3 80
	meets beyond tcp 10.2.0.1 80
}

# Another program marks packets. Neither it nor the rules may disturb the other, and it goes
# on when shunt is unloaded.
works_beside_foreign()
{
	local before

	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	before=$(seen foreign)
	meets 9001 udp 10.1.2.3 80
	[ "$(seen foreign)" -gt "$before" ]
}

goes_on_alone()
{
	local before

	unload
	before=$(seen foreign)
	meets beyond udp 10.1.2.3 80
	[ "$(seen foreign)" -gt "$before" ]
}

@test "steer: another program at tcx sees every packet, and stays" {
	local result=0 pin=/sys/fs/bpf/foreign

	need nft
	serve_router router 9001
	watch_marks
	"$PEERS/foreign" tcx r0 $pin || result=$?
	[ $result != 77 ] || skip "no tcx in this kernel"
	works_beside_foreign
	reload_steer --iface r0
	works_beside_foreign
	goes_on_alone
	rm $pin
}

@test "steer: another program's clsact filter sees every packet, and stays" {
	local pin=/sys/fs/bpf/foreign

	need nft
	serve_router router 9001
	watch_marks
	unload
	"$PEERS/foreign" prog $pin
	tc qdisc add dev r0 clsact
	tc filter add dev r0 ingress prio 7 bpf direct-action object-pinned $pin ||
		{ rm $pin; skip "no cls_bpf in this kernel"; }
	shunt load --iface r0
	works_beside_foreign
	goes_on_alone
	tc filter show dev r0 ingress | grep -w foreign
	tc qdisc del dev r0 clsact
	rm $pin
}

@test "steer: an idle clsact qdisc that was there before stays" {
	unload
	tc qdisc add dev r0 clsact
	shunt load --iface r0
	unload
	tc qdisc show dev r0 | grep clsact
	tc qdisc del dev r0 clsact
}
