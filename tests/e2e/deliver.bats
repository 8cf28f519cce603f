#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# 'shunt steer test --deliver' tests whether steered packets reach a socket. Rules of nftables
# or iptables that set the mark in prerouting (connection marks, policy routing, shaping)
# remove shunt's mark, while all counters look normal. See steer.bash for the hosts.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
# shellcheck disable=SC2030,SC2031 # each test has its own variables
load ../lib/steer

setup()
{
	find_hosts
	need nft
	load_steer r0
	serve_router router 9001
	for family in 6 4; do
		add tcp dst 10.1.2.3 to 127.0.0.1:9001
		add udp dst 10.1.2.3 to 127.0.0.1:9001
	done
}

teardown()
{
	local table

	for table in 'inet other' 'ip other' 'inet shunt_mark' 'netdev other'; do
		# shellcheck disable=SC2086 # words
		nft delete table $table 2>/dev/null || true
	done
	"${client[@]}" nft flush ruleset
	"${beyond[@]}" nft flush ruleset
	sysctl -qw net.ipv4.conf.r0.rp_filter=0
	clean_up_steer
}

# deliver PROTO [OPTION...]: the output is in out, the exit status in code
deliver()
{
	code=0
	translate src 198.18.0.2 dst 10.1.2.3 dport 80 iface r0
	out=$(shunt "${@:2}" steer test --deliver "$1" "${words[@]}" 2>&1) || code=$?
}

# prerouting FAMILY PRIORITY RULE...: makes a chain of another program
prerouting()
{
	{
		printf 'add table %s other\n' "$1"
		printf 'add chain %s other marks { type filter hook prerouting priority %s; }\n' "$1" "$2"
		printf "add rule $1 other marks %s\n" "${@:3}"
	} | nft -f -
}

says()
{
	grep -qF -- "$1" <<<"$out" && return
	printf 'expected: %s\ngot:      %s\n' "$1" "$out"
	return 1
}

is_delivered()
{
	deliver "$1"
	says 'delivered: the first packet and a later one of the flow' && [ "$code" = 0 ]
}

# loses PROTO TEXT: --deliver says so, as text and as JSON
loses()
{
	deliver "$1"
	says "$2"
	[ "$code" = 1 ]
	deliver "$1" -j
	[ "$code" = 1 ]
	jq -e '.delivery.delivered == false' <<<"$out"
}

# count_strays: starts counters of packets that reach client or beyond, which none may
count_strays()
{
	local place

	for place in client beyond; do
		local -n where=$place

		"${where[@]}" nft -f - <<-END
			table inet watch {
				counter strays { }
				chain input {
					type filter hook input priority mangle
					meta l4proto { tcp, udp, icmp } counter name strays
					icmpv6 type { destination-unreachable, time-exceeded } counter name strays
				}
			}
		END
	done
}

# strays: prints how many of these counters have counted a packet
strays()
{
	{ "${client[@]}" nft list counters; "${beyond[@]}" nft list counters; } |
		grep -c 'packets [1-9]'
}

# --- a host without such rules -----------------------------------------------

delivered_and_real()
{
	is_delivered "$1"
	deliver "$1" -j
	[ "$code" = 0 ]
	jq -e '.delivery == { delivered: true, first: "delivered", later: "delivered" } and
		.listener and (.rule.to | endswith(":9001"))' <<<"$out"
}

each_delivered()
{
	local family

	for family in 4 6; do
		"$1" tcp
		"$1" udp
	done
}

@test "steer test --deliver: a packet arrives; neither router, client nor service see one" {
	count_strays
	each_delivered delivered_and_real
	[ "$(strays)" = 0 ]
	shunt -j steer list | jq -e 'map(.packets + .flows + .misses) | add == 0'
	[ "$(counter steered_flows)" = 0 ]
	[ "$(counter steered_packets)" = 0 ]
	# a connection to compare with
	meets 9001 tcp 10.1.2.3 80
	[ "$(strays)" = 1 ]
	[ "$(counter steered_flows)" = 1 ]
}

@test "steer test --deliver: connection tracking keeps no connection" {
	prerouting inet raw 'ct state new counter'
	each_delivered is_delivered
	[ -e /proc/net/nf_conntrack ] || skip "no /proc/net/nf_conntrack in this kernel"
	[ "$(grep -c 'dst=10.1.2.3.* ESTABLISHED' /proc/net/nf_conntrack)" = 0 ]
}

@test "steer test --deliver: marks of others beside shunt's bit do no harm" {
	prerouting inet mangle 'meta mark set meta mark or 2' 'ct mark set meta mark' \
		'meta mark set meta mark and 0xff000007' 'meta mark set ct mark'
	each_delivered delivered_and_real
	meets 9001 tcp 10.1.2.3 80
}

# --- the mark overwritten ----------------------------------------------------

overwritten()
{
	local got

	loses "$1" 'LOST: the first packet of the flow: the mark of steered packets, 0x1000000, was overwritten (0x0) before routing'
	jq -e '.delivery | .mark_overwritten and .steered and .first == "lost" and
		.later == "not tried" and
		.sets_mark == [{ family: "inet", table: "other", chain: "marks", hook: "prerouting" }]' \
		<<<"$out"
	deliver "$1"
	says 'table inet other, chain marks (prerouting, priority -150) sets the mark'
	ask --from 198.18.0.2 --sport 0 "$1" 10.1.2.3 80 || true
	got=$answer
	echo "# $1, IPv$family: the client meets $got" >&3
	[ "$got" = silence ]
}

@test "steer test --deliver: the mark overwritten by 'meta mark set ct mark' in prerouting" {
	prerouting inet mangle 'meta mark set ct mark'
	overwritten tcp
	overwritten udp
	family=6
	overwritten udp
	# all counters are normal
	[ "$(counter steered_flows)" -ge 3 ]
}

@test "steer test --deliver: the rule of nftables that it advises works" {
	local advice

	prerouting inet dstnat 'meta mark set ct mark'
	deliver tcp
	advice=$(sed -n 's/^ *to set the bit again: //p' <<<"$out")
	echo "# $advice" >&3
	eval "$advice"
	each_delivered delivered_and_real
	each_delivered meets_router
}

meets_router()
{
	meets 9001 "$1" 10.1.2.3 80
}

# The usual way: the mark is saved with the answer, and restored from then on.
@test "steer test --deliver: a mark restored to established connections only" {
	prerouting ip mangle 'ct state established meta mark set ct mark'
	loses tcp 'LOST: the first packet is delivered, later ones of the flow are not: the mark'
	loses udp 'LOST: the first packet is delivered, later ones of the flow are not: the mark'
	jq -e '.delivery | .first == "delivered" and .later == "lost" and
		.sets_mark[0].family == "ip"' <<<"$out"
	# a table of IPv4 does not see IPv6
	family=6
	is_delivered tcp
}

@test "steer test --deliver: a chain that prerouting jumps to sets the mark" {
	prerouting inet filter 'counter'
	nft -f - <<-END
		add chain inet other restore
		add chain inet other between
		add chain inet other output { type route hook output priority mangle; }
		add chain inet other sent
		add rule inet other restore meta mark set 7
		add rule inet other sent meta mark set 8
		add rule inet other between goto restore
		add rule inet other marks iifname "r0" jump between
		add rule inet other output jump sent
	END
	loses udp 'was overwritten (0x7) before routing'
	jq -e '.delivery.sets_mark | map(.chain) == ["restore"]' <<<"$out"
	deliver udp
	says 'table inet other, chain restore (prerouting, priority 0) sets the mark'
}

@test "steer test --deliver: a chain at an interface's ingress sets the mark" {
	nft -f - <<-END
		add table netdev other
		add chain netdev other early { type filter hook ingress device r0 priority 0; }
		add rule netdev other early meta mark set 0
	END
	loses tcp 'was overwritten (0x0) before routing'
	deliver tcp
	says 'table netdev other, chain early (ingress, priority 0) sets the mark'
	eval "$(sed -n 's/^ *to set the bit again: //p' <<<"$out")"
	is_delivered tcp
}

@test "steer test --deliver: CONNMARK --restore-mark and MARK of iptables" {
	need iptables-nft
	iptables-nft -t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff ||
		skip "no CONNMARK in this kernel"
	is_delivered tcp
	iptables-nft -t mangle -A PREROUTING -j CONNMARK --restore-mark
	loses tcp 'was overwritten (0x0) before routing'
	jq -e '.delivery.sets_mark[0] | .table == "mangle" and .chain == "PREROUTING"' <<<"$out"
	iptables-nft -t mangle -F PREROUTING
	iptables-nft -t mangle -A PREROUTING -j MARK --set-mark 3
	loses tcp 'was overwritten (0x3) before routing'
	nft delete table ip mangle
}

# --- other losses ------------------------------------------------------------

@test "steer test --deliver: a rule of nftables drops the packet" {
	prerouting inet filter 'ip daddr 10.1.2.3 drop'
	loses tcp 'the kernel dropped the packet, with its mark: netfilter drop'
	jq -e '.delivery | .reason == "netfilter drop" and .sets_mark == []' <<<"$out"
}

@test "steer test --deliver: reverse path filtering drops the packet" {
	sysctl -qw net.ipv4.conf.r0.rp_filter=1
	is_delivered tcp
	code=0
	out=$(shunt steer test --deliver tcp src 10.9.9.9 dst 10.1.2.3 dport 80 iface r0 2>&1) || code=$?
	[ "$code" = 1 ]
	says 'the kernel dropped the packet, with its mark:'
}

@test "steer test --deliver: steering was taken off the interface" {
	[ "$(status 'steer.ifaces[0].via')" = tcx ] || skip "no tcx in this kernel"
	bpftool link detach pinned "$(find "$PIN_DIR/steering/links" -name 'attached_*' | head -1)" 3>&-
	deliver tcp
	[ "$code" = 1 ]
	says "'r0': steering is not attached to it"
}

# --- nothing to deliver, wrong words, an end in between ----------------------

@test "steer test --deliver: no rule matches the packet" {
	stops router
	deliver tcp
	[ "$code" = 1 ]
	says 'no listener: the packet passes'
	says 'not delivered: nothing steers the packet'
	shunt steer flush
	deliver udp
	[ "$code" = 1 ]
	says 'not delivered: nothing steers the packet'
	deliver udp -j
	[ "$code" = 1 ]
	jq -e '.rule == null and .delivery.first == "not tried"' <<<"$out"
}

# refuses CODE TEXT WORD...
refuses()
{
	code=0
	out=$(shunt steer test --deliver "${@:3}" 2>&1) || code=$?
	says "$2" && [ "$code" = "$1" ] && [ "$(wc -l <<<"$out")" = 1 ]
}

@test "steer test --deliver: wrong words" {
	refuses 2 "--deliver needs 'iface NAME'" tcp src 198.18.0.2 dst 10.1.2.3:80
	refuses 2 "--deliver: 'origin local' can't be tried" tcp src 198.18.0.2 dst 10.1.2.3:80 origin local
	refuses 2 "multicast or broadcast" udp src 198.18.0.2 dst 224.0.0.9:80 iface r0
	refuses 1 "'r1': steering is not attached to it" udp src 198.18.0.2 dst 10.1.2.3:80 iface r1
	refuses 1 "'r77': no such interface" udp src 198.18.0.2 dst 10.1.2.3:80 iface r77
	refuses 2 "--deliver: '-'" -
	refuses 2 "what to test is missing"
	unload
	refuses 1 "not loaded" udp src 198.18.0.2 dst 10.1.2.3:80 iface r0
}

# Entries of the map go with the socket, and programs and links with the process.
no_programs()
{
	[ "$(bpftool -j prog show 3>&- | jq --argjson maps "$(own_maps)" \
		'[.[] | select(.name == "shunt_inject" and any(.map_ids[]?; IN($maps[])))] | length')" = 0 ]
}

probes()
{
	bpftool -j map dump pinned "$PIN_DIR/steering/maps/shunt_probes" 3>&- | jq length
}

probes_are()
{
	[ "$(probes)" = "$1" ]
}

@test "steer test --deliver: kill -9 leaves nothing" {
	local pid call

	need strace
	translate src 198.18.0.2 dst 10.1.2.3 dport 80 iface r0
	# the command waits where it first asks what has come to its socket
	strace -o "$BATS_TEST_TMPDIR/calls" -e getsockopt "$SHUNT" steer test --deliver udp "${words[@]}"
	call=$(grep -n SO_MEMINFO "$BATS_TEST_TMPDIR/calls" | head -n 1 | cut -d : -f 1)
	spawn held strace -o /dev/null -e "inject=getsockopt:delay_exit=10000000:when=$call" \
		"$SHUNT" steer test --deliver udp "${words[@]}"
	wait_for probes_are 1
	pid=$(pgrep -P "$(cat "$BATS_TEST_TMPDIR/held.pid")")
	kill -9 "$pid"
	wait_for ended held
	wait_for probes_are 0
	wait_for no_programs
	is_delivered udp
}

@test "steer test --deliver: several at once" {
	local i

	translate src 198.18.0.2 dst 10.1.2.3 dport 80 iface r0
	for i in 1 2 3 4 5 6; do
		spawn "test$i" "$SHUNT" steer test --deliver tcp "${words[@]}"
	done
	for i in 1 2 3 4 5 6; do
		reap "test$i"
		grep -F 'delivered: the first' "$BATS_TEST_TMPDIR/test$i.out"
	done
}

@test "check names chains that set the mark, and steer test --deliver" {
	shunt -j check | jq -e '.[] | select(.name == "delivery") | .result == "ok"'
	prerouting inet mangle 'meta mark set ct mark'
	shunt check | grep -F 'table inet other, chain marks (prerouting, priority -150) sets the mark'
	shunt -j check | jq -e '.[] | select(.name == "delivery") | .result == "warn" and
		(.advice | contains("steer test --deliver"))'
}
