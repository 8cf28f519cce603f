#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Commands of steering with real packets: map_update, counters, trace, load and unload.
# steer.bash draws the hosts.

# shellcheck disable=SC2034 # family is for meets
load ../lib/steer

@test "steer: map_update: the example of zfw, 172.16.240.0 24 5060 5060 58997" {
	serve_router router 58997
	by_name map_update 172.16.240.0 24 5060 5060 58997
	steers 58997 udp 172.16.240.9 5060 198.18.0.2 5060
	steers 58997 tcp 172.16.240.9 5060 198.18.0.2 5060
	steers beyond udp 172.16.240.9 5060 198.18.0.2 5061
	steers beyond udp 172.16.240.9 5061 198.18.0.2 5060
	by_name map_delete_elem 172.16.240.0 24
	steers beyond udp 172.16.240.9 5060 198.18.0.2 5060
	[ "$(counter rules)" = 0 ]
}

@test "steer: map_update with any port, with host bits, for IPv6; map_delete_elem takes all of a prefix" {
	serve_router router 58997
	by_name map_update 10.1.2.3 16 0 0 58997
	steers 58997 udp 10.1.255.1 85
	steers 58997 tcp 10.1.0.0 443
	by_name map_update 10.1.0.0 16 5060 0 58997
	shunt steer add tcp dst 10.1.0.0/16 dport 85 pass
	[ "$(counter rules)" = 5 ]
	by_name map_delete_elem 10.1.2.3 16
	[[ $(shunt steer list) == 'tcp dst 10.1.0.0/16 dport 85 pass '* ]] # not made by map_update

	by_name map_update fd00::a01:0 112 80 0 58997
	family=6
	steers 58997 udp 10.1.2.3 80
	steers 58997 tcp 10.1.2.3 80
	by_name map_delete_elem fd00::a01:0 112
	steers beyond tcp 10.1.2.3 80
}

@test "steer: rules and status count packets and flows" {
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 80
	meets 9001 udp 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
	shunt -j steer list | jq -e 'map({ (.proto): . }) | add |
		.udp.packets == 2 and .udp.bytes > 2 * 34 and .udp.misses == 0 and
		.udp.flows == 2 and .tcp.packets >= 1 and .tcp.flows == 1'
	[ "$(counter steered_flows)" = 3 ]
	[ "$(counter steered_packets)" -ge 5 ]
}

@test "steer: trace: lines for steered flows" {
	serve_router router 58997
	shunt steer add udp dst 172.16.240.0/24 dport 5060 to 127.0.0.1:58997
	shunt steer add tcp dst fd00::a01:203 dport 80 to '[::1]:58997'
	meets 58997 udp 172.16.240.9 5060 198.18.0.2 4711
	shunt trace on
	meets 58997 udp 172.16.240.9 5060 198.18.0.2 5060
	family=6
	meets 58997 tcp 10.1.2.3 80 198.18.0.2 4712
	traced 'shunt: steer udp 198.18.0.2:5060 -> 172.16.240.9:5060 to 127.0.0.1:58997$'
	traced 'shunt: steer tcp \[fd00:.*:c612:0002\]:4712 -> \[fd00:.*:0a01:0203\]:80 to \[.*:0001\]:58997$'
	if traced 'shunt: steer udp 198.18.0.2:4711'; then
		return 1 # tracing was off at that time
	fi
}

@test "steer: load makes a rule and a table for both families; unload removes all, and more than once" {
	local maps

	ip rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560'
	ip -6 rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560'
	ip route show table 20560 | grep -q 'local default dev lo'
	ip -6 route show table 20560 | grep -q 'local default dev lo'
	maps=$(own_maps)
	[ "$maps" != '[]' ]
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	unload
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
	nothing_left "$maps"
	unload
}

@test "steer: an interface that is deleted takes no rule with it" {
	ip link add r2 type veth peer name c2
	reload_steer --iface r2 --iface r0
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	ip link del r2
	[ "$(status 'steer.ifaces[] | select(.name == "r2") | .attached')" = false ]
	meets 9001 udp 10.1.2.3 80
}
