#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Steering of packets with options, in VLANs and with SYN cookies, and of whole programs.
# steer.bash draws the hosts.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer

teardown()
{
	sysctl -qw net.ipv4.tcp_syncookies=1 || true
	clean_up_steer
}

# --- whatever the packets look like ------------------------------------------

with_options()
{
	add "$1" dst 10.1.2.3 dport 80 to 127.0.0.1:9001
	ask --options "$1" 10.1.2.3 80
	[[ $answer == *via=9001* ]]
	ask --options "$1" 10.1.2.3 85
	[[ $answer == *via=beyond* ]]
}

@test "steer: IPv4 options and IPv6 extension headers" {
	serve_router router 9001
	each_way with_options
}

@test "steer: VLAN tags" {
	ip link add link r0 name r0.7 type vlan id 7 || skip "no VLANs in this kernel"
	"${client[@]}" ip link add link c0 name c0.7 type vlan id 7
	ip addr add 198.18.7.1/24 dev r0.7
	"${client[@]}" ip addr add 198.18.7.2/24 dev c0.7
	ip link set r0.7 up
	"${client[@]}" ip link set c0.7 up
	"${client[@]}" ip route add 10.1.2.3 via 198.18.7.1
	serve_router router 9001
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 tcp 10.1.2.3 80 198.18.7.2
	meets 9001 udp 10.1.2.3 80 198.18.7.2
	ip link del r0.7
	"${client[@]}" ip link del c0.7 # and its route
}

strict()
{
	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 "$1" 10.1.2.3 80
}

@test "steer: strict reverse path filtering" {
	serve_router router 9001
	sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.r0.rp_filter=1
	each_way strict
}

cookies()
{
	nstat -asz | awk -v name="TcpExtSyncookies$1" '$1 == name { print $2 }'
}

# Prints the settings, as bytes and by name.
settings()
{
	bpftool -j map dump pinned "$PIN_DIR/steering/maps/shunt_conf" | jq -r ".[0].$1"
}

# Changes the settings as if load were minutes ago, and no listener had sent a cookie since.
no_cookies_yet()
{
	local value at

	at=$(runtime_offset syncookie_tick)
	value=$(settings "value | .[$at:$((at + 4))] = [\"0\", \"0\", \"0\", \"0\"] | join(\" \")")
	# shellcheck disable=SC2086 # bytes
	bpftool map update pinned "$PIN_DIR/steering/maps/shunt_conf" key 0 0 0 0 value $value
	[ "$(settings formatted.value.run.syncookie_tick)" = 0 ]
}

by_cookie()
{
	local before

	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	no_cookies_yet
	before=$(cookies Recv)
	meets 9001 tcp 10.1.2.3 80
	[ "$(cookies Recv)" = $((before + 1)) ]
}

@test "steer: SYN cookies" {
	sysctl -qw net.ipv4.tcp_syncookies=2 || skip "no SYN cookies in this kernel"
	serve_router router 9001
	each_family by_cookie tcp
}

@test "steer: a flood of SYNs does not keep a client out" {
	sysctl -qw net.ipv4.tcp_syncookies=1 || skip "no SYN cookies in this kernel"
	serve_router router 9001
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	no_cookies_yet
	talk flow tcp 10.1.2.3 80
	said flow via=9001
	"${client[@]}" "$PEERS/raw" c0 "$ROUTER_MAC" syn 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
	exchange flow on
	[ "$(cookies Sent)" -gt 1000 ]
	[ "$(counter steered_flows)" -ge 2000 ]
}

# notes WHETHER OPTION...: whether shunt has noted that a router with these options sent cookies
notes()
{
	serve_router router "${@:2}" 9001
	no_cookies_yet
	meets 9001 tcp 10.1.2.3 80
	[ "$(settings 'formatted.value.run.syncookie_tick > 0')" = "$1" ]
	stops router
}

# A burst passes shunt before the listener has seen any of it, and which member of a
# group will answer is not known.
@test "steer: answers to SYN cookies are matched with the rules, if a listener may have sent cookies" {
	sysctl -qw net.ipv4.tcp_syncookies=1 || skip "no SYN cookies in this kernel"
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	notes true --backlog=5
	notes true --backlog=1000
	notes false --backlog=4096
	sysctl -qw net.ipv4.tcp_syncookies=2
	notes true --backlog=4096
	sysctl -qw net.ipv4.tcp_syncookies=1
	# before 6.6 bpf_sk_assign() refuses these listeners
	kernel_before 606 || notes true --backlog=4096 --reuseport --name=9001
}

# --- whole programs ----------------------------------------------------------

to_and_fro()
{
	local file back=$BATS_TEST_TMPDIR/back flows

	file=$(big 16)
	add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:$((9000 + family))
	flows=$(counter steered_flows)
	endpoint 10.1.2.3 80
	"${client[@]}" timeout 60 socat -t 20 - "TCP$family:$REPLY" <"$file" >"$back"
	same_bytes "$file" "$back"
	[ "$(counter steered_flows)" = $((flows + 1)) ]
}

@test "steer: 16 MiB to a transparent socat and back are the same" {
	need socat
	spawn echo4 socat TCP4-LISTEN:9004,bind=127.0.0.1,ip-transparent EXEC:cat
	spawn echo6 socat 'TCP6-LISTEN:9006,bind=[::1],ip-transparent' EXEC:cat
	wait_for listens 9004
	wait_for listens 9006
	each_family to_and_fro tcp
}

fetch()
{
	add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9001
	fetched 198.18.0.2 "${client[@]}"
}

# HAProxy connects to the original destination, from the client's address.
relay()
{
	local flows

	add tcp dst 10.1.0.0/16 dport 443 to 127.0.0.1:9002
	flows=$(counter steered_flows)
	meets beyond tcp 10.1.2.3 443
	[ "$(counter steered_flows)" = $((flows + 1)) ]
	[ "$(misses)" = 0 ]
}

@test "steer: HAProxy with a transparent bind, and curl" {
	need haproxy curl
	# answers to the client's address come in at r1
	reload_steer --iface r0 --iface r1
	haproxy_config 'usesrc clientip' >"$BATS_TEST_TMPDIR/haproxy.cfg"
	spawn haproxy haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
	wait_for listens 9001
	each_family fetch tcp
	each_family relay tcp
}
