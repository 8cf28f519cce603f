#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Ports of bridges, bonds and teams: the packets of a port come to its master, too,
# and on a bridge pass netfilter in between (br_netfilter, which Docker and Kubernetes
# switch on). See steer.bash for the hosts; rport0 leads to the client as well, and is
# a port of brtest0.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer

BRIDGE_MAC=02:00:00:00:04:01

teardown()
{
	ip link del rport0 2>/dev/null || true
	ip link del brtest0 2>/dev/null || true
	clean_up_steer
}

# make_bridge: the client's packets for 10.1.2.4 arrive at the port
make_bridge()
{
	ip link add brtest0 address $BRIDGE_MAC type bridge 2>/dev/null ||
		skip "no bridges in this kernel"
	ip link add rport0 address $BRIDGE_MAC type veth peer name cport0 \
		netns "$BATS_FILE_TMPDIR/netns-client"
	ip -batch - <<-END
		link set brtest0 addrgenmode none up
		link set rport0 addrgenmode none up
		link set rport0 master brtest0
		addr add 198.18.104.1/24 dev brtest0
		addr add fd00::c612:6801/120 dev brtest0 nodad
	END
	"${client[@]}" ip -batch - <<-END
		link set cport0 addrgenmode none up
		addr add 198.18.104.2/24 dev cport0
		addr add fd00::c612:6802/120 dev cport0 nodad
		route add 10.1.2.4 via 198.18.104.1
		route add fd00::a01:204 via fd00::c612:6801
	END
}

bridge_netfilter()
{
	sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 \
		2>/dev/null || skip "no br_netfilter in this kernel"
	# br_netfilter calls the hooks of the families, which this table makes
	nft add table inet hooks
	nft add chain inet hooks prerouting '{ type filter hook prerouting priority mangle; }'
}

# attached [NAME]...: steering is attached to these interfaces and no others
attached()
{
	local expected

	expected=$(printf '%s\n' "$@" | sort)
	[ "$(status 'steer.ifaces[] | select(.attached) | .name' | sort)" = "$expected" ]
}

passed_over()
{
	[ "$(status 'steer.passed_over[]? | "\(.name) \(.master) \(.kind)"')" = "$1" ]
}

steered_at_bridge()
{
	local before

	add "$1" dst 10.1.2.4 to 127.0.0.1:9001
	before=$(counter steered_flows)
	meets 9001 "$1" 10.1.2.4 80 198.18.104.2
	[ $(($(counter steered_flows) - before)) = 1 ]
}

@test "steer: bridge ports: a pattern passes over them, with bridge-nf-call-iptables=1" {
	make_bridge
	bridge_netfilter
	reload_steer --iface 'br*' --iface 'r*'
	serve_router router 9001
	attached brtest0 r0 r1
	passed_over 'rport0 brtest0 bridge'
	each_way steered_at_bridge
}

@test "steer: bridge ports: a pattern passes over them, without br_netfilter" {
	make_bridge
	sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
		2>/dev/null || true
	reload_steer --iface 'br*' --iface 'r*'
	serve_router router 9001
	attached brtest0 r0 r1
	each_way steered_at_bridge
}

# The packet is marked at the port, loses its socket in br_netfilter, and gets it again at the
# bridge.
steered_at_both()
{
	add "$1" dst 10.1.2.4 to 127.0.0.1:9001
	meets 9001 "$1" 10.1.2.4 80 198.18.104.2
	meets 9001 "$1" 10.1.2.4 80 198.18.104.2
}

@test "steer: bridge ports: both port and bridge in --iface, with bridge-nf-call-iptables=1" {
	make_bridge
	bridge_netfilter
	serve_router router 9001
	reload_steer --iface brtest0 --iface rport0
	attached brtest0 rport0
	each_way steered_at_both
	reload_steer --iface rport0 --iface 'br*'
	attached brtest0 rport0
	each_way steered_at_both
}

@test "steer: bridge ports: a port in --iface is attached, with a warning that names the bridge" {
	local warning="shunt: warning: 'rport0' is a port of the bridge 'brtest0', where its packets \
come as well: name 'brtest0' instead"

	make_bridge
	unload
	[ "$(shunt load --iface rport0 2>&1)" = "$warning" ]
	attached rport0
	passed_over ''
	shunt status | grep -F "iface rport0" |
		grep -F "a port of the bridge 'brtest0', where its packets come as well: name 'brtest0' instead"
	shunt load --iface rport0 2>&1 | grep -F "$warning"
	unload
	# other halves work at a port
	[ -z "$(shunt load --monitor rport0 2>&1)" ]
}

@test "steer: bridge ports: an interface becomes a port, and leaves the bridge, while 'shunt run' runs" {
	make_bridge
	ip link set rport0 nomaster
	reload_steer --iface 'br*' --iface 'r*'
	attached brtest0 r0 r1 rport0
	passed_over ''
	supervise
	ip link set rport0 master brtest0
	wait_for attached brtest0 r0 r1
	passed_over 'rport0 brtest0 bridge'
	grep -F "'rport0' is a port of the bridge 'brtest0' now: detached" "$BATS_TEST_TMPDIR/supervisor.err"
	serve_router router 9001
	each_way steered_at_bridge
	ip link set rport0 nomaster
	wait_for attached brtest0 r0 r1 rport0
	passed_over ''
	# with its bridge
	ip link set rport0 master brtest0
	wait_for attached brtest0 r0 r1
	ip link del brtest0
	wait_for attached r0 r1 rport0
}

@test "steer: bridge ports: the same load again passes over what became a port" {
	make_bridge
	ip link set rport0 nomaster
	reload_steer --iface 'r*'
	attached r0 r1 rport0
	ip link set rport0 master brtest0
	shunt load --iface 'r*'
	attached r0 r1
}

@test "steer: bridge ports: a rule for a port says where its packets are steered" {
	make_bridge
	reload_steer --iface 'br*' --iface 'r*'
	shunt steer add tcp dst 10.1.2.4 iface rport0 pass 2>&1 |
		grep -F "warning: a rule has no effect at 'rport0', a port of the bridge 'brtest0': give it \
'iface brtest0'"
	supervise
	shunt steer add tcp dst 10.1.2.5 iface rport0 pass 2>&1 | grep -F "give it 'iface brtest0'"
}

@test "steer: bridge ports: check and status say what is passed over, and why" {
	make_bridge
	shunt check | grep -F "brtest0: a bridge with 1 port (rport0)"
	shunt -j check | jq -e '.[] | select(.name == "ports") | .result == "note" and
		(.advice | contains("brtest0"))'
	reload_steer --iface 'r*'
	shunt status | grep -F "passed over: rport0, a port of the bridge 'brtest0'; \
NOT ATTACHED there: load '--iface brtest0' as well"
	reload_steer --iface 'r*' --iface brtest0
	shunt status | grep -F "passed over: rport0, a port of the bridge 'brtest0', where steering is attached"
	reload_steer --iface rport0
	shunt -j check | jq -e 'any(.[]; .name == "ports" and .result == "warn")'
}

# Packets of a VRF are steered where they arrive, not again at the VRF.
@test "steer: VRF: a pattern takes the interfaces in it" {
	ip link add vrf0 type vrf table 99 2>/dev/null || skip "no VRFs in this kernel"
	make_bridge
	ip link set rport0 master vrf0
	reload_steer --iface 'r*'
	attached r0 r1 rport0
	ip link del vrf0
	# the kernel makes these with the first VRF, and keeps them
	ip rule del pref 1000
	ip -6 rule del pref 1000
}

@test "steer: bond: a pattern passes over its members" {
	make_bridge
	ip link set rport0 nomaster down
	ip link add bond0 type bond 2>/dev/null || skip "no bonds in this kernel"
	ip link set rport0 master bond0
	reload_steer --iface 'r*'
	attached r0 r1
	passed_over 'rport0 bond0 bond'
	ip link del bond0
}
