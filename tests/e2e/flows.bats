#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Rules are for new flows. What happens to existing flows when rules and listeners come and
# go. steer.bash draws the hosts.

# shellcheck disable=SC2154 # each_family sets family, translate words
bats_require_minimum_version 1.5.0
load ../lib/steer

forwarded()
{
	talk "old$family" tcp 10.1.2.3 80
	said "old$family" via=beyond
	add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	exchange "old$family" on
	meets 9001 tcp 10.1.2.3 80
	exchange "old$family" on
	add tcp dst 0.0.0.0/0 to 127.0.0.1:9009
	exchange "old$family" on
}

@test "steer: a forwarded TCP connection goes on when a rule for it is added" {
	serve_router router 9001
	each_family forwarded tcp
}

# The rule is deleted, the connection stays.
steered()
{
	add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "conn$family" tcp 10.1.2.3 80
	said "conn$family" via=9001
	del tcp dst 10.1.0.0/16
	exchange "conn$family" on
	meets beyond tcp 10.1.2.3 80
	add tcp dst 10.1.2.3 pass
	exchange "conn$family" on
}

@test "steer: a steered TCP connection goes on when its rule is deleted" {
	serve_router router 9001
	each_family steered tcp
}

udp_stays()
{
	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" udp 10.1.2.3 80
	said "flow$family" 'via=9001 by=listener'
	add udp dst 10.1.2.3 dport 80 to 127.0.0.1:9002
	exchange "flow$family" 'via=9001 by=listener'
	meets 9002 udp 10.1.2.3 80
	del udp dst 10.1.2.3 dport 80
	exchange "flow$family" 'via=9001 by=listener'
	# its own rule goes
	del udp dst 10.1.0.0/16
	exchange "flow$family" via=beyond
}

@test "steer: a UDP flow stays with its listener until its rule is deleted" {
	serve_router router 9001 9002
	each_family udp_stays udp
}

udp_gone()
{
	serve_router "one$family" 9001
	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" udp 10.1.2.3 80
	said "flow$family" 'via=9001 by=listener'
	stops "one$family"
	# started again, at another port
	serve_router "two$family" 9002
	add udp dst 10.1.0.0/16 to 127.0.0.1:9002
	exchange "flow$family" 'via=9002 by=listener'
	stops "two$family"
}

@test "steer: a UDP flow whose listener is gone is matched with the rules again" {
	each_family udp_gone udp
}

# A whole new set of rules, in new maps: flows of the rules that stay go on.
applied()
{
	local i

	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" udp 10.1.2.3 80
	said "flow$family" 'via=9001 by=listener'
	{
		shunt save
		translate 10.1.2.3 127.0.0.1:9002
		for i in $(seq 3000); do
			echo "udp dst ${words[0]} dport $i to ${words[1]}"
		done
	} >"$BATS_TEST_TMPDIR/rules"
	shunt apply "$BATS_TEST_TMPDIR/rules"
	exchange "flow$family" 'via=9001 by=listener'
	meets 9002 udp 10.1.2.3 80
	grep -v '/16\|/112' "$BATS_TEST_TMPDIR/rules" | shunt apply -
	exchange "flow$family" 'via=9002 by=listener'
}

@test "steer: flows go on through apply, except those of rules that apply deletes" {
	serve_router router 9001 9002
	each_family applied udp
}

# --- how many ----------------------------------------------------------------

crowded()
{
	local i

	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	for i in 1 2 3 4; do
		talk "flow$i$family" udp 10.1.2.3 80
		said "flow$i$family" 'via=9001 by=listener'
	done
	add udp dst 10.1.2.3 dport 80 to 127.0.0.1:9002
	for i in 1 2 3 4; do
		exchange "flow$i$family" via=900
	done
	# the table had room for three
	[ "$(cat "$BATS_TEST_TMPDIR"/flow?"$family".out | grep -c via=9002)" -ge 1 ]
	del udp dst 10.1.2.3 dport 80
	del udp dst 10.1.0.0/16
}

@test "steer: when the table of UDP flows is full, each packet is matched with the rules" {
	reload_steer --iface r0 --max-flows 1
	serve_router router 9001 9002
	each_family crowded udp
}

counts()
{
	tell "$1" report
	said "$1" 'took='
	output_of "$1" | sed -n 's/^took=//p' | tail -n 1
}

# All flows are in one bucket, which two CPUs write to and read from at once.
@test "steer: 40,000 UDP flows in one bucket: no datagram goes to the listener of another flow" {
	local i

	reload_steer --iface r0 --max-flows 1
	shunt steer add udp dst 10.1.0.0/16 dport 81 to 127.0.0.1:9001
	shunt steer add udp dst 10.1.0.0/16 dport 82 to 127.0.0.1:9002
	for i in 1 2; do
		spawn "take$i" "$PEERS/crowd" take 127.0.0.1 "900$i" "for $i"
		said "take$i" listens
	done
	for i in 1 2; do
		spawn "send$i" "${client[@]}" "$PEERS/crowd" send 20000 10.1.2.3 81 'for 1' 82 'for 2'
	done
	for i in 1 2; do
		reap "send$i"
		said "send$i" sent=60000
	done
	for i in 1 2; do
		wait_for eval "[ \"\$(counts take$i)\" = '120000 wrong=0' ]"
	done
}

# Successive ports spread over the buckets as well as others, with any keys of a load.
@test "steer: UDP flows from 3,000 successive ports all have an entry in a table of 12,288" {
	local i new

	spawn take "$PEERS/crowd" take 127.0.0.1 9001 x
	said take listens
	for i in $(seq 8); do
		reload_steer --iface r0 --max-flows 4096
		shunt steer add udp dst 10.1.0.0/16 dport 81 to 127.0.0.1:9001
		spawn "hold$i" "${client[@]}" "$PEERS/crowd" hold 3000 10.1.2.3 81 x
		said "hold$i" holds
		tell "hold$i" send
		said "hold$i" sent
		wait_for status_is steer.steered_packets -ge 3000
		tell "hold$i" again
		wait_for status_is steer.steered_packets -ge 6000
		new=$(($(status steer.steered_flows) - 3000))
		echo "$new of 3000 had no place"
		[ "$new" -lt 130 ]
		kill "$(cat "$BATS_TEST_TMPDIR/hold$i.pid")"
	done
}

# last_seen: prints the tick of the only flow, and the number of flows
last_seen()
{
	bpftool -j map dump pinned "$PIN_DIR/steering/maps/shunt_udp_flows" |
		jq '[.[].formatted.value.flow[] | select(.tag != 0)] | .[0].last_used, length' | paste -sd' '
}

two_ticks_after()
{
	awk -v from="$1" '{ exit !($1 / 1.073741824 > from + 2) }' /proc/uptime
}

@test "steer: packets that no listener takes do not keep a UDP flow alive" {
	local seen

	reload_steer --iface r0 --max-flows 1
	serve_router router 9001
	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk flow udp 10.1.2.3 80
	said flow 'via=9001 by=listener'
	stops router
	seen=$(last_seen)
	[[ $seen == *' 1' ]]
	wait_for two_ticks_after "${seen% *}"
	exchange flow via=beyond
	[ "$(last_seen)" = "$seen" ]
	# but these do
	serve_router again 9001
	exchange flow 'via=9001 by=listener'
	[ "$(last_seen)" != "$seen" ]
}
