#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Rules with 'origin local': packets that this host sends reach the router, and packets
# that the router sends are not steered back to it. This host is the router of
# steer.bash; the router is a process in a cgroup of its own.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer

# The array routers runs a command in the router's cgroup, below in a cgroup below it.
setup()
{
	find_hosts
	mkdir -p "$CGROUP_ROOT/router/below"
	cgroup routers "$CGROUP_ROOT/router"
	cgroup below "$CGROUP_ROOT/router/below"
	# shellcheck disable=SC2034 # for ask
	asking=router
	load_steer r1
}

# locally VIA PROTO ADDRESS PORT: meets(), for a packet that this host sends
locally()
{
	meets "$@" 198.19.0.1
}

to_many()
{
	printf x >"/dev/udp/$1/5353"
}

@test "steer, origin local: multicast that this host sends is steered only by rules that name its group" {
	ip route add 224.0.0.0/4 dev r1
	serve_loopback router routers 9001
	add udp dst 0.0.0.0/0 origin local to 127.0.0.1:9001
	to_many 224.0.0.251
	to_many 239.1.2.3
	locally 9001 udp 10.1.2.3 80
	[ "$(counter steered_packets)" = 1 ]
	predicts_local 'no rule matches' 224.0.0.251
	add udp dst 239.0.0.0/8 origin local to 127.0.0.1:9001
	to_many 239.1.2.3
	wait_for counted steered_packets 2
	predicts_local '239.0.0.0/8' 239.1.2.3
	ip route del 224.0.0.0/4 dev r1
}

# predicts_local TEXT ADDRESS
predicts_local()
{
	shunt steer test udp src 198.19.0.1 dst "$2" dport 5353 origin local | grep -F "$1"
}

# --- who is steered ----------------------------------------------------------

local_and_not()
{
	add "$1" dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9001
	locally 9001 "$1" 10.1.2.3 80
	locally 9001 "$1" 10.1.2.3 80
	locally beyond "$1" 10.1.2.3 85
	locally beyond "$1" 10.1.2.4 80
	# packets of other hosts
	from client meets beyond "$1" 10.1.2.3 80
	# and the other way round
	add "$1" dst 10.1.2.3 dport 85 to 127.0.0.1:9001
	locally beyond "$1" 10.1.2.3 85
}

@test "steer, origin local: packets of this host reach the router with their addresses unchanged" {
	serve_loopback router routers 9001
	each_way local_and_not
}

own_upstream()
{
	local flows

	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	flows=$(counter steered_flows)
	from routers locally beyond "$1" 10.1.2.3 80
	[ "$(counter steered_flows)" = "$flows" ]
	locally 9001 "$1" 10.1.2.3 80
	[ "$(counter steered_flows)" = $((flows + 1)) ]
}

@test "steer, origin local: packets of the router, known by its listener's cgroup, are not steered" {
	serve_loopback router routers 9001
	each_way own_upstream
	[ "$(counter router_own_packets)" -ge 4 ]
}

named_router()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	from below locally beyond "$1" 10.1.2.3 80
	from routers locally beyond "$1" 10.1.2.3 80
	locally 9001 "$1" 10.1.2.3 80
}

@test "steer, origin local: --router-cgroup: packets from this cgroup and those below are not steered" {
	reload_steer --iface r1 --router-cgroup "$CGROUP_ROOT/router"
	serve_loopback router routers 9001
	each_way named_router
}

marked_router()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	ask --mark 96 "$1" 10.1.2.3 80
	[[ $answer == *via=beyond* ]]
	ask --mark 64 "$1" 10.1.2.3 80
	[[ $answer == *via=9001* ]]
	# with --router-mark the cgroup does not count
	from routers locally 9001 "$1" 10.1.2.3 80
}

@test "steer, origin local: --router-mark: packets with the mark are not steered" {
	reload_steer --iface r1 --router-mark 0x60
	serve_loopback router routers 9001
	each_way marked_router
}

with_pass()
{
	add "$1" dst 10.0.0.0/8 origin local to 127.0.0.1:9001
	add "$1" dst 10.1.0.0/16 origin local pass
	add "$1" dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9002
	locally 9001 "$1" 10.2.0.1 80
	locally beyond "$1" 10.1.2.3 85
	locally 9002 "$1" 10.1.2.3 80
}

@test "steer, origin local: precedence and pass rules" {
	serve_loopback router routers 9001 9002
	each_way with_pass
}

tested()
{
	shunt steer test "$@" | head -1
}

@test "steer, origin local: steer test, list, save and apply know the words" {
	local rule='tcp dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9001'

	# shellcheck disable=SC2086 # words
	shunt steer add $rule
	[ "$(tested tcp dst 10.1.2.3:80 src 198.19.0.1 origin local)" = "$rule" ]
	[[ $(tested tcp dst 10.1.2.3:80 src 198.19.0.1 iface r1) == 'no rule'* ]]
	[[ $(tested tcp dst 10.1.2.3:80 src 198.19.0.1) == 'no rule'* ]]
	shunt save | grep -Fx "$rule"
	[ "$(shunt -j steer list | jq -r '.[].origin')" = local ]
	shunt steer add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:9002
	[ "$(counter rules)" = 2 ]
	# shellcheck disable=SC2086
	shunt steer del $rule
	[ "$(counter rules)" = 1 ]
	unload
	{ echo iface r1; echo "$rule"; } >"$BATS_TEST_TMPDIR/rules"
	shunt load --config "$BATS_TEST_TMPDIR/rules"
	serve_loopback router routers 9001
	locally 9001 tcp 10.1.2.3 80
	unload
	shunt load --iface r1
	grep -v iface "$BATS_TEST_TMPDIR/rules" | shunt apply -
	locally 9001 tcp 10.1.2.3 80
}

# --- flows -------------------------------------------------------------------

outlives_rule()
{
	add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	translate tcp 10.1.2.3 80
	spawn "flow$family" "$PEERS/ask" --stay "${words[@]}"
	said "flow$family" via=9001
	del tcp dst 10.1.2.3 origin local
	locally beyond tcp 10.1.2.3 80
	exchange "flow$family" on
	add tcp dst 10.1.2.3 origin local to 127.0.0.1:9002
	locally 9002 tcp 10.1.2.3 80
	exchange "flow$family" on
}

@test "steer, origin local: an established TCP flow keeps its router when rules change" {
	serve_loopback router routers 9001 9002
	each_family outlives_rule tcp
}

@test "steer, origin local: listener gone: the packet leaves unsteered, and is counted" {
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	locally beyond tcp 10.1.2.3 80
	[ "$(counter no_listener)" -ge 1 ]
	[ "$(misses)" -ge 1 ]
	serve_loopback router routers 9001
	locally 9001 tcp 10.1.2.3 80
}

to_and_fro()
{
	local file back=$BATS_TEST_TMPDIR/back

	file=$(big 16)
	add tcp dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9001
	endpoint 10.1.2.3 80
	timeout 60 socat -t 20 - "TCP$family:$REPLY" <"$file" >"$back"
	tail -c $((16 << 20)) "$back" | cmp - "$file" # behind its greeting
}

@test "steer, origin local: 16 MiB to the router and back are the same" {
	need socat
	serve_loopback router routers 9001
	each_family to_and_fro tcp
}

large_datagram()
{
	add udp dst 10.1.2.3 origin local to 127.0.0.1:9001
	ask --size 1400 udp 10.1.2.3 80
	[[ $answer == *via=9001* ]]
}

@test "steer, origin local: datagrams up to the MTU" {
	serve_loopback router routers 9001
	each_family large_datagram udp
}

large_arrives()
{
	ask --size 3000 udp 10.1.2.3 80
	[[ $answer == *via=9001* ]]
}

in_fragments()
{
	add udp dst 10.1.2.3 origin local to 127.0.0.1:9001
	wait_for large_arrives
	from routers ask --size 3000 udp 10.1.2.3 80
	[[ $answer == *via=beyond* ]]
	locally 9001 udp 10.1.2.3 80
}

@test "steer, origin local: datagrams larger than the MTU, with the supervisor" {
	serve_loopback router routers 9001
	spawn supervisor "$SHUNT" run
	each_family in_fragments udp
}

strict()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	locally 9001 "$1" 10.1.2.3 80
}

@test "steer, origin local: strict reverse path filtering, connection tracking" {
	serve_loopback router routers 9001
	sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.lo.rp_filter=1
	nft add table inet watch
	nft 'add chain inet watch out { type filter hook output priority 0 ; }'
	nft 'add rule inet watch out ct state established,related accept'
	nft 'add chain inet watch in { type filter hook input priority 0 ; policy drop ; }'
	nft 'add rule inet watch in ct state new,established,related accept'
	each_way strict
	nft delete table inet watch
	sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lo.rp_filter=0
}

# --- where -------------------------------------------------------------------

no_ethernet()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	meets 9001 "$1" 10.1.2.3 80 198.18.9.1
}

@test "steer, origin local: a device without an Ethernet header" {
	spawn wire "$PEERS/wire" --tun w0 /proc/self/ns/net "$BATS_FILE_TMPDIR/netns-client"
	said wire ready || skip "no tun devices in this kernel"
	ip -batch - <<-END
		link set w0 addrgenmode none up
		addr add 198.18.9.1/24 dev w0
		addr add fd00::c612:901/120 dev w0 nodad
		route add 10.1.2.3 dev w0
		route add fd00::a01:203 dev w0
	END
	reload_steer --iface w0
	serve_loopback router routers 9001
	each_way no_ethernet
}

on_lo()
{
	add "$1" dst 10.9.9.9 dport 80 origin local to 127.0.0.1:9001
	from routers meets own "$1" 10.9.9.9 80 198.19.0.1
	meets 9001 "$1" 10.9.9.9 80 198.19.0.1
	meets own "$1" 10.9.9.9 85 198.19.0.1
}

@test "steer, origin local: an address of this host on lo, as ziti-router adds it" {
	ip addr add 10.9.9.9/32 dev lo
	ip addr add fd00::a09:909/128 dev lo nodad
	reload_steer --iface lo
	serve_loopback router routers 9001
	serve own router --plain --name own tcp 10.9.9.9 80 udp 10.9.9.9 80 tcp 10.9.9.9 85 \
		udp 10.9.9.9 85 tcp fd00::a09:909 80 udp fd00::a09:909 80 tcp fd00::a09:909 85 \
		udp fd00::a09:909 85
	each_way on_lo
	ip addr del 10.9.9.9/32 dev lo
	ip addr del fd00::a09:909/128 dev lo
}

# --- what is left ------------------------------------------------------------

accept_local()
{
	cat /proc/sys/net/ipv4/conf/lo/accept_local
}

@test "steer, origin local: accept_local is set for the first rule, and restored" {
	[ "$(accept_local)" = 0 ]
	[ "$(status steer.origin_local)" = false ]
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	[ "$(accept_local)" = 0 ]
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	[ "$(accept_local)" = 1 ]
	[ "$(status steer.origin_local)" = true ]
	shunt steer flush
	unload
	[ "$(accept_local)" = 0 ]
}

@test "steer, origin local: accept_local that somebody else has set stays" {
	sysctl -qw net.ipv4.conf.lo.accept_local=1
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	unload
	[ "$(accept_local)" = 1 ]
	sysctl -qw net.ipv4.conf.lo.accept_local=0
}

@test "steer, origin local: two shunts: the last to leave restores accept_local" {
	serve_loopback router routers 9001 9002
	other load --iface r1 --mark 0x2000000 --table 20561
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	other steer add tcp dst 10.2.0.1 origin local to 127.0.0.1:9002
	locally 9001 tcp 10.1.2.3 80
	locally 9002 tcp 10.2.0.1 80
	unload
	[ "$(accept_local)" = 1 ]
	locally beyond tcp 10.1.2.3 80
	locally 9002 tcp 10.2.0.1 80
	other unload
	[ "$(accept_local)" = 0 ]
	locally beyond tcp 10.2.0.1 80
}

@test "steer, origin local: a load that was killed leaves nothing behind" {
	shunt steer add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	# as it stands before the last step of load
	# shellcheck disable=SC2046 # bytes
	bpftool map update pinned "$PIN_DIR/steering/maps/shunt_conf" key 0 0 0 0 \
		value hex $(bpftool -j map lookup pinned "$PIN_DIR/steering/maps/shunt_conf" key 0 0 0 0 |
			jq -r --argjson at "$(runtime_offset loaded)" '.value | .[$at] = "0x00" |
				map(ltrimstr("0x")) | join(" ")')
	[ "$(status 'halves | index("steering")')" = null ]
	unload
}

# --- must show: curl, and a bypass -------------------------------------------

fetch()
{
	add tcp dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9001
	fetched 198.19.0.1
}

# relay: HAProxy itself connects to the address that the client asked for
relay()
{
	local flows

	add tcp dst 10.1.2.3 dport 443 origin local to 127.0.0.1:9002
	flows=$(counter steered_flows)
	ask tcp 10.1.2.3 443
	endpoint 10.1.2.3 443
	[[ $answer == "local=$REPLY remote="*" via=beyond" ]]
	[ "$(counter steered_flows)" = $((flows + 1)) ]
	[ "$(counter router_own_packets)" -ge 1 ]
}

@test "steer, origin local: curl on this host reaches HAProxy; HAProxy's upstream connection is not steered" {
	need haproxy curl
	haproxy_config >"$BATS_TEST_TMPDIR/haproxy.cfg"
	spawn haproxy "${routers[@]}" haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
	wait_for listens 9001
	each_family fetch tcp
	each_family relay tcp
}

bypassed()
{
	local before file back=$BATS_TEST_TMPDIR/back

	file=$(big 1)
	add tcp dst 10.1.2.3 dport 80 origin local to 127.0.0.1:9001
	before=$(status bypass.redirected_bytes)
	endpoint 10.1.2.3 80
	in_cgroup timeout 60 socat -t 20 - "TCP$family:$REPLY" <"$file" >"$back"
	tail -c $((1 << 20)) "$back" | cmp - "$file"
	grew bypass.redirected_bytes "$before" $((1 << 19)) # some may go by TCP
}

@test "steer, origin local: a steered connection takes the bypass" {
	need socat
	unload
	cgroup routers "$CGROUP/router"
	load_eager --iface r1
	serve_loopback router routers 9001
	each_family bypassed tcp
	end_all
	rmdir "$CGROUP/router"
}

@test "steer: origin local: after a file that failed, the rules of the next file work" {
	local file=$BATS_TEST_TMPDIR/file

	shunt unload
	shunt load --iface r1 --max-rules 1
	serve_loopback router routers 9001
	printf 'tcp dst 10.1.2.3 origin local to 127.0.0.1:9001\ntcp dst 10.1.2.4 pass\n' >"$file"
	shunt apply "$file" && return 1
	sed -i 2d "$file"
	shunt apply "$file"
	locally 9001 tcp 10.1.2.3 80
}
