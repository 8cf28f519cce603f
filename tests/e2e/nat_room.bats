#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT: a user who fills the table of flows does not keep others' connections out. nat.bash
# has the hosts.

load ../lib/nat

bats_require_minimum_version 1.5.0

FLOWS=1024

load_small()
{
	shunt load --nat h0 --nat-flows $FLOWS --nat-idle opening=300 --nat-idle closed=1 \
		--nat-idle closing=1
}

# fill USER PORT [FIRST]: makes three times as many flows as the table has room for
fill()
{
	local dst

	address 10.0.0.10
	dst=$REPLY
	setpriv --reuid "$1" --regid "$1" --clear-groups "$PEERS/ports" "$dst" "$2" "${3:-10000}" \
		$((3 * FLOWS)) 3>&-
}

is_full()
{
	status_is nat.flows -ge $((FLOWS - 20))
}

held()
{
	spawn hold nc "$@"
	wait_for has_said hold target
}

unanswered()
{
	load_small
	serve target near tcp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 81 10.0.0.99 8080 # there is nobody
	address 10.0.0.10
	held "$REPLY" 80
	fill 65534 81
	is_full
	for _ in {1..20}; do
		answered target tcp 10.0.0.10 80
	done
	echoed hold "it goes on"
	[ "$(status nat.evicted_flows)" -ge $((2 * FLOWS)) ]
	shunt metrics | grep -q '^shunt_nat_evicted_flows_total [1-9]'
	shunt status | grep -q 'evicted for new flows [1-9]'
	stop hold
	stop target
	unload
}

@test "nat: an unprivileged user who fills the NAT table keeps no new connections out" {
	need setpriv
	both_families unanswered
}

# The same rules for nft. 10.0.0.99 is nobody's address.
translate_by_nft()
{
	nft -f - <<-END
		table ip translated {
			chain output {
				type nat hook output priority -100
				ip daddr 10.0.0.10 tcp dport 80 dnat to 10.0.0.138:8080
				ip daddr 10.0.0.10 udp dport 81-99 dnat to 10.0.0.99
			}
		}
	END
	ip neigh add 10.0.0.99 lladdr 02:00:00:00:00:99 dev h0
}

# The number of entries of connection tracking that were dropped for new ones.
early_drops()
{
	local drops sum=0

	while read -r _ _ _ _ _ _ _ _ _ _ _ drops _; do
		[ "$drops" = early_drop ] || sum=$((sum + 16#$drops))
	done </proc/net/stat/nf_conntrack
	echo $sum
}

# The kernel has one limit for all network namespaces, and only the first namespace can change
# the limit. It counts the entries of each namespace for itself. So this test makes as many
# entries as the limit allows.
@test "nat: control: an unprivileged user who fills the table of connection tracking keeps no new connections out" {
	need setpriv nft
	local limit port

	limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max 2>/dev/null) || skip "no conntrack"
	[ "$limit" -le 300000 ] || skip "nf_conntrack_max is $limit: that takes too long"
	translate_by_nft || skip "no DNAT by nft on this kernel"
	shunt load --iface lo
	serve target near tcp 10.0.0.138 8080
	held 10.0.0.10 80
	for ((port = 81; limit > 0; port++, limit -= 50000)); do
		setpriv --reuid 65534 --regid 65534 --clear-groups "$PEERS/ports" 10.0.0.10 $port \
			10000 50000 3>&-
	done
	cat /proc/sys/net/netfilter/nf_conntrack_count
	for _ in {1..20}; do
		answered target tcp 10.0.0.10 80
	done
	echoed hold "it goes on"
	[ "$(early_drops)" -gt 0 ]
	nft delete table ip translated
}

# A newcomer whose source has many flows takes nobody else's, and gets none.
@test "nat: a full table: the source with most flows loses some, others keep theirs" {
	need setpriv
	load_small
	add udp 10.0.0.10 81 10.0.0.99 8080
	setpriv --reuid 65534 --regid 65534 --clear-groups "$PEERS/ports" 10.0.0.10 81 10000 10 3>&-
	fill 65533 81 20000
	is_full
	[ "$(shunt -j nat flows | jq '[.[] | select(.src | test(":100[0-9][0-9]$"))] | length')" = 10 ]
	[ "$(status nat.dropped_no_room)" = 0 ]
}
