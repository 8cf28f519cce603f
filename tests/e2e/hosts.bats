#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Changes by other programs of a host while shunt is loaded: docs/hosts.md has the
# reports. See steer.bash for the hosts. CONTROL=1 also tries nftables' TPROXY.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

# The router runs in a cgroup of its own, for 'origin local'.
setup()
{
	find_hosts
	cgroup routers "$CGROUP_ROOT/router"
	load_steer r0
}

teardown()
{
	wg_down 2>/dev/null || true
	tproxy_off
	nft delete table inet sources 2>/dev/null || true
	ip link del vrrp.51 2>/dev/null || true
	clean_up_steer
}

both_families()
{
	local family

	for family in -4 -6; do
		"$1" $family
	done
}

# --- the control -------------------------------------------------------------

# control COMMAND: prints what TPROXY does after that command
control()
{
	[ -n "${CONTROL:-}" ] || return 0
	unload
	tproxy_client
	"$1"
	tproxy_report
	tproxy_off
	shunt load --iface r0
}

# --- rules of others that come first -----------------------------------------

# As wg-quick does for 'AllowedIPs = 0.0.0.0/0': without a preference such rules
# come before all but the first.
wg_up()
{
	both_families wg_rules
	ip route add default via 198.19.0.2 table 51820
	ip -6 route add default via fd00::c613:2 table 51820
}

wg_rules()
{
	ip "$1" rule add not fwmark 51820 table 51820
	ip "$1" rule add table main suppress_prefixlength 0
}

wg_down()
{
	both_families no_wg_rules
}

no_wg_rules()
{
	ip "$1" rule del table 51820
	ip "$1" rule del table main suppress_prefixlength 0
	ip "$1" route flush table 51820
}

steered()
{
	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 "$1" 10.1.2.3 80
}

# is_first: routing rules and routes are complete, and no other rule comes before
is_first()
{
	[ "$(status 'steer | "\(.routed) \(.preceded_by)"')" = 'true null' ]
}

@test "steer: 'wg-quick up' after load: its ip rules come first, and 'shunt run' goes before them" {
	serve_loopback router routers 9001
	control wg_up
	wg_down 2>/dev/null || true
	supervise
	wg_up
	wait_for is_first
	each_way steered
	wg_down
	wait_for first_preference_is 97
	each_way steered
}

# first_preference_is N: the preference of shunt's first rule but the one for 'origin local',
# which does not always exist
first_preference_is()
{
	local family

	for family in -4 -6; do
		ip $family rule | grep -q "^$(($1 + 1)):.*fwmark 0x1000000" || return
	done
}

@test "steer: 'ip rule add from ...' before shunt's rules: status says which, the same load again helps" {
	serve_loopback router routers 9001
	ip rule add from 198.18.0.0/24 lookup main
	# the kernel puts it at 97
	shunt status | grep 'ip rule 97 of another program comes before'
	[ "$(status steer.preceded_by)" = 97 ]
	shunt load --iface r0
	[ "$(status steer.preceded_by)" = null ]
	each_way steered
	ip rule del from 198.18.0.0/24
	shunt load --iface r0
	first_preference_is 97
}

@test "steer: ip rules of others with preferences below shunt's at load: NetBird, Cilium" {
	serve_loopback router routers 9001
	unload
	ip rule add pref 9 fwmark 0x200/0xf00 lookup 2004
	ip rule add pref 10 from all lookup main suppress_prefixlength 0
	shunt load --iface r0
	each_way steered
	unload
	ip rule del pref 9
	ip rule del pref 10
	shunt load --iface r0
}

@test "steer: status says so when no preference is left before another program's ip rule" {
	serve_loopback router routers 9001
	ip rule add pref 2 from 198.18.0.0/24 lookup main
	shunt load --iface r0
	shunt status | grep 'ip rule 2 of another program comes before'
	ip rule del pref 2
}

# --- routes and settings that others take away -------------------------------

# As systemd-networkd does with ManageForeignRoutes=yes.
@test "steer: routes flushed by a network manager: 'shunt run' makes them again" {
	serve_loopback router routers 9001
	supervise
	ip route flush table 20560
	ip -6 route flush table 20560
	wait_for is_first
	each_way steered
}

@test "steer: ip rules and routes flushed three times: 'shunt run' makes them again" {
	serve_loopback router routers 9001
	supervise
	for _ in 1 2 3; do
		both_families flush_all
		wait_for is_first
	done
	each_way steered
}

flush_all()
{
	ip "$1" rule del pref 99
	ip "$1" rule del pref 98
	ip "$1" route flush table 20560
}

accept_local_is()
{
	[ "$(cat /proc/sys/net/ipv4/conf/lo/accept_local)" = "$1" ]
}

steered_local()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	from router meets 9001 "$1" 10.1.2.3 80 198.19.0.1
}

@test "steer: 'sysctl --system' sets lo's accept_local back: status says so, 'shunt run' sets it" {
	reload_steer --iface r1
	serve_loopback router routers 9001
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	sysctl -qw net.ipv4.conf.lo.accept_local=0
	shunt status | grep 'net.ipv4.conf.lo.accept_local was set to 0'
	supervise
	wait_for accept_local_is 1
	sysctl -qw net.ipv4.conf.lo.accept_local=0
	wait_for accept_local_is 1
	each_way steered_local
}

# --- what others remove at an interface --------------------------------------

r0_is_attached()
{
	[ "$(status 'steer.ifaces[] | select(.name == "r0") | .attached')" = true ]
}

# As NetworkManager does with a connection's tc.qdiscs, and libbpf's
# bpf_tc_hook_destroy() for both directions. Where the kernel has tcx, nobody can
# remove shunt's programs so.
@test "steer: 'tc qdisc del dev r0 clsact' by another program: 'shunt run' attaches again" {
	serve_loopback router routers 9001
	supervise
	tc qdisc add dev r0 clsact 2>/dev/null || true
	tc qdisc del dev r0 clsact
	wait_for r0_is_attached
	tc filter del dev r0 ingress 2>/dev/null || true
	wait_for r0_is_attached
	each_way steered
	# only the filter told that shunt had made the qdisc, so without tcx it stays
	unload
	tc qdisc del dev r0 clsact 2>/dev/null || true
}

# --- what others translate ---------------------------------------------------

# As Amazon's VPC CNI does for all packets that leave a node.
masquerade()
{
	nft -f - <<-END
		table inet sources {
			chain postrouting {
				type nat hook postrouting priority srcnat
				$1
				oifname r1 masquerade random
			}
		}
	END
}

goes_on()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	quickly translate "$1" 10.1.2.3 80
	from router ask "${words[@]}"
	[[ $answer == *via=beyond* ]]
}

@test "steer: origin local: a connection whose source port SNAT or MASQUERADE changes is not steered, and counted" {
	need nft
	reload_steer --iface r1
	serve_loopback router routers 9001
	each_way steered_local
	masquerade ""
	each_way goes_on
	[ "$(status steer.source_translated)" -ge 4 ]
	shunt status | grep 'out of SNAT and MASQUERADE'
	nft delete table inet sources
	masquerade "ip daddr 10.1.2.3 return; ip6 daddr fd00::a01:203 return"
	each_way steered_local
	nft delete table inet sources
}

# --- interfaces on others ----------------------------------------------------

# As keepalived makes it: the address and the MAC address of a virtual router.
make_vrrp()
{
	ip -batch - <<-END
		link add vrrp.51 link r0 address 00:00:5e:00:01:33 type macvlan mode private
		link set vrrp.51 up
		addr add 198.18.0.51/32 dev vrrp.51
	END
	"${client[@]}" ip -batch - <<-END
		neigh replace 198.18.0.51 lladdr 00:00:5e:00:01:33 dev c0
		route add 10.1.2.3 via 198.18.0.51
	END
}

# The interface may come after load, as keepalived makes it when it starts.
@test "steer: keepalived with use_vmac: load names its macvlan, which --iface has to name, too" {
	make_vrrp || skip "no macvlan in this kernel"
	serve_loopback router routers 9001
	reload_steer --iface r0 2>"$BATS_TEST_TMPDIR/warning"
	grep "name 'vrrp.51', too" "$BATS_TEST_TMPDIR/warning"
	shunt check | grep 'vrrp.51: packets to its MAC address'
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	meets beyond tcp 10.1.2.3 80
	reload_steer --iface r0 --iface 'vrrp.*' 2>"$BATS_TEST_TMPDIR/warning"
	if grep 'warning:.*vrrp' "$BATS_TEST_TMPDIR/warning"; then
		return 1
	fi
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 tcp 10.1.2.3 80
	meets 9001 udp 10.1.2.3 80
	"${client[@]}" ip route del 10.1.2.3
	ip link del vrrp.51
}

@test "steer: an interface in a VRF: load and check say that tc finds no listeners there" {
	ip link add red type vrf table 10 2>/dev/null || skip "no VRF in this kernel"
	ip link add veth8 type veth peer name veth9
	ip link set veth8 master red
	unload
	shunt load --iface veth8 2>&1 | grep "'veth8' is in the VRF 'red'"
	shunt check | grep "veth8: in the VRF 'red'"
	ip link del veth8
	ip link del red
	# the kernel adds these rules with the first VRF, and keeps them
	ip rule del pref 1000
	ip -6 rule del pref 1000
}
