#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Interfaces that come and go while shunt is loaded, and what others have on
# the same ones. See steer.bash for the hosts; further interfaces, late0 and so
# on, lead to the client as well.

# shellcheck disable=SC2154 # find_hosts sets client
load ../lib/steer
load ../lib/late_links

teardown()
{
	local i

	for i in late0 late1 other0; do
		ip link del $i 2>/dev/null || true
	done
	nft delete table inet watch 2>/dev/null || true
	clean_up_steer
}

# --- patterns ----------------------------------------------------------------

@test "steer: --iface with a pattern: interfaces that exist, and interfaces that come later" {
	make_link late0 4
	reload_steer --iface 'late*'
	is_attached late0
	not_listed r0
	not_listed lo
	[ "$(status 'steer.patterns[0]')" = 'late*' ]
	serve_router router 9001
	shunt steer add udp dst 10.1.2.0/24 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.4 80 198.18.104.2

	supervise
	make_link late1 5
	make_link other0 6
	wait_for is_attached late1
	meets 9001 udp 10.1.2.5 80 198.18.105.2
	not_listed other0
	meets beyond udp 10.1.2.6 80 198.18.106.2

	ip link del late0
	wait_for not_listed late0
	is_attached late1
	# again, with another index
	make_link late0 4
	wait_for is_attached late0
	meets 9001 udp 10.1.2.4 80 198.18.104.2
}

@test "steer: --iface with a pattern that matches nothing yet: the same load again attaches" {
	reload_steer --iface 'late*'
	[ "$(status 'steer.ifaces | length')" = 0 ]
	make_link late0 4
	shunt load --iface 'late*'
	is_attached late0
	shunt status | grep -F "late*"
	shunt status | grep 'NO SUPERVISOR'
}

@test "steer: an interface that is renamed stays attached, and is attached once" {
	make_link late0 4
	reload_steer --iface 'late*'
	supervise
	ip link set late0 down
	ip link set late0 name late1
	ip link set late1 up
	wait_for is_attached late1
	"${client[@]}" ip link set late0 down
	"${client[@]}" ip link set late0 name late1
	make_link late0 5
	wait_for is_attached late0
	[ "$(status 'steer.ifaces | length')" = 2 ]
	"${client[@]}" ip link set late1 up
	"${client[@]}" ip route add 10.1.2.4 via 198.18.104.1
	serve_router router 9001
	shunt steer add udp dst 10.1.2.0/24 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.4 80 198.18.104.2
	meets 9001 udp 10.1.2.5 80 198.18.105.2
	[ "$(counter steered_packets)" = 2 ]
}

@test "steer: an interface that is renamed: load and unload by the new name" {
	make_link late0 4
	reload_steer --iface late0 --nat late0 --monitor late0
	ip link set late0 down
	ip link set late0 name late9
	run shunt load --iface late9 --nat late9 --monitor late9
	[ "$status" = 0 ]
	[[ $output == *"'late0' is 'late9' now"* ]]
	[ "$(shunt -j status | jq -c '[.steer, .nat, .monitor | .ifaces[] | .name, .attached] | unique')" = '[true,"late9"]' ]
	shunt unload --iface late9
	[ "$(status 'steer.ifaces | length')" = 0 ]
	shunt unload
	ip link del late9
}

@test "steer: an interface that is deleted and made again gets its programs and rules back" {
	make_link late0 4
	reload_steer --iface late0
	serve_router router 9001
	shunt steer add udp dst 10.1.2.0/24 iface late0 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.4 80 198.18.104.2
	supervise
	ip link del late0
	wait_for is_attached late0 false
	make_link late0 4
	wait_for is_attached late0
	meets 9001 udp 10.1.2.4 80 198.18.104.2
	[ "$(counter rules)" = 1 ]
}

# told WORD...: prints the messages of 'steer add'
told()
{
	shunt steer add "$@" 2>&1
}

@test "steer: steer add warns of a rule for an interface that steering is not attached to" {
	local rule

	reload_steer --iface 'late*'
	ip link add other0 type veth peer name other1
	rule='tcp dst 10.1.2.0/24 iface other0 pass'
	# shellcheck disable=SC2086 # words
	[ "$(told $rule)" = "shunt: warning: a rule has no effect until shunt is attached to 'other0'" ]
	[ "$(told tcp dst 10.1.2.4 origin local pass)" = "shunt: warning: a rule with 'origin local' has \
no effect until shunt is attached to an interface" ]
	shunt -j steer add tcp dst 10.1.2.5 origin local pass
	shunt save | shunt apply - 2>&1 | grep -c 'warning: 3 rules have no effect'
	shunt save | shunt -j apply - 2>&1 >/dev/null | grep -c 'warning: 3 rules have no effect'
	"${SHUNT%/*}/shunt-diverter" -I -c 10.1.9.0 -m 24 -p tcp -l 1 -h 2 -t 3 -N other0 \
		>"$BATS_TEST_TMPDIR/said" 2>&1
	[ ! -s "$BATS_TEST_TMPDIR/said" ]
	make_link late0 4
	told udp dst 10.1.2.0/24 iface late0 pass | grep "attached to 'late0'"
	supervise
	wait_for is_attached late0
	[ -z "$(told udp dst 10.1.2.0/25 iface late0 pass)" ]
	[ -z "$(told tcp dst 10.1.2.6 origin local pass)" ]
	ip link add late1 type veth peer name other2 # the supervisor will see it
	[ -z "$(told udp dst 10.1.2.0/26 iface late1 pass)" ]
	ip link del other0
	shunt steer list | grep 'iface other0' | grep -F '(no such interface)'
}

@test "steer: origin local on an interface that came after load" {
	cgroup routers "$CGROUP_ROOT/router"
	reload_steer --iface 'late*'
	supervise
	shunt steer add udp dst 10.7.7.7 origin local to 127.0.0.1:9001
	serve router routers udp 127.0.0.1 9001
	make_link late0 4
	ip route add 10.7.7.7 via 198.18.104.2
	wait_for from router meets 9001 udp 10.7.7.7 80 198.18.104.1
}

@test "steer: unload while the supervisor follows interfaces" {
	reload_steer --iface 'late*'
	supervise
	make_link late0 4
	unload
	reap supervisor
}

# --- the rule and the route that deliver steered packets ---------------------

is_routed()
{
	[ "$(status steer.route_present)" = "${1:-true}" ]
}

# restores COMMAND...: status names what the command removed, and load restores it
restores()
{
	"$@"
	is_routed false
	shunt status | grep 'NO ROUTE'
	shunt load --iface r0
	is_routed
	[ "$(shunt status | grep -c 'NO ROUTE')" = 0 ]
}

@test "steer: ip rules or routes removed: status says so, the same load again restores them" {
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	shunt steer add udp dst fd00::a01:203 to '[::1]:9001'
	is_routed
	restores ip rule del pref 99
	meets 9001 udp 10.1.2.3 80
	restores ip route flush table 20560
	meets 9001 udp 10.1.2.3 80
	restores ip -6 rule del pref 99
	restores ip -6 route flush table 20560
	# shellcheck disable=SC2034 # meets takes it
	family=6
	meets 9001 udp 10.1.2.3 80
}

@test "steer: ip rules or routes removed: 'shunt run' restores them" {
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	supervise
	ip rule del pref 99
	wait_for is_routed
	ip -6 rule del pref 99
	wait_for is_routed
	# with its addresses and routes
	ip link set lo down
	is_routed false
	ip link set lo up
	wait_for is_routed
	meets 9001 udp 10.1.2.3 80
}

@test "steer: where IPv6 is off, status misses no IPv6 routing" {
	netns off
	"${off[@]:?}" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	"${off[@]}" "$SHUNT" --pin-dir "$OTHER_DIR" load --iface lo
	"${off[@]}" "$SHUNT" -j --pin-dir "$OTHER_DIR" status | jq -e .steer.routed
	"${off[@]}" ip rule del pref 99
	[ "$("${off[@]}" "$SHUNT" -j --pin-dir "$OTHER_DIR" status | jq .steer.routed)" = false ]
	"${off[@]}" "$SHUNT" --pin-dir "$OTHER_DIR" unload
	umount "${off_file:?}"
}

# --- others on the same interface --------------------------------------------

@test "steer: nftables, connection tracking and a foreign clsact qdisc stay as they are" {
	local before

	need nft
	unload
	tc qdisc add dev r0 clsact
	tc filter add dev r0 ingress prio 1 protocol ip u32 match ip dst 192.0.2.1/32 flowid 1:1
	tc filter add dev r0 egress prio 1 protocol ip u32 match ip dst 192.0.2.1/32 flowid 1:1
	nft -f - <<-END
		table inet watch {
			counter tracked { }
			chain prerouting {
				type filter hook prerouting priority mangle
				ct state established counter name tracked
				meta mark and 0x1000000 == 0 meta mark set meta mark or 2
			}
			chain forward {
				type filter hook forward priority filter
				ct state new,established accept
			}
		}
	END
	state_of_others >"$BATS_TEST_TMPDIR/others"
	shunt load --iface r0
	serve_router router 9001
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 tcp 10.1.2.3 80
	meets beyond tcp 10.1.2.4 80
	[ "$(nft list counter inet watch tracked | awk '$1 == "packets" { print $2 }')" -gt 0 ]
	before=$(grep -c 'dst=10.1.2.3' /proc/net/nf_conntrack 2>/dev/null || echo none)
	[ "$before" = none ] || [ "$before" -ge 1 ]
	diff "$BATS_TEST_TMPDIR/others" <(state_of_others)
	unload
	diff "$BATS_TEST_TMPDIR/others" <(state_of_others)
	tc qdisc show dev r0 | grep clsact
	tc qdisc del dev r0 clsact
}

# state_of_others: qdiscs, filters and tables, without counters and without shunt's own
# filters (5300 in hex)
state_of_others()
{
	tc qdisc show dev r0
	tc filter show dev r0 ingress pref 1
	tc filter show dev r0 egress pref 1
	nft -s list table inet watch
}

@test "steer: two shunts with a pattern each on one interface: neither detaches the other's programs" {
	make_link late0 4
	reload_steer --iface 'late*'
	other load --iface 'late*' --mark 0x2000000 --table 20561
	serve_router router 9001 9002
	shunt steer add udp dst 10.1.2.4 dport 80 to 127.0.0.1:9001
	other steer add udp dst 10.1.2.4 dport 85 to 127.0.0.1:9002
	meets 9001 udp 10.1.2.4 80 198.18.104.2
	meets 9002 udp 10.1.2.4 85 198.18.104.2
	unload
	meets beyond udp 10.1.2.4 80 198.18.104.2
	meets 9002 udp 10.1.2.4 85 198.18.104.2
}
