#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT: whoever fills the table of flows keeps nobody else's connections out; nat.bash has
# the hosts.

load ../lib/nat

bats_require_minimum_version 1.5.0

FLOWS=1024

load_small()
{
	shunt load --nat h0 --nat-flows $FLOWS --nat-idle opening=300 --nat-idle closed=1 \
		--nat-idle closing=1
}

# fill USER PORT [FIRST]: three times as many flows as there is room for
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
	[ "$(status nat.evicted)" -ge $((2 * FLOWS)) ]
	shunt metrics | grep -q '^shunt_nat_evicted_total [1-9]'
	shunt status | grep -q 'gave way to new flows [1-9]'
	stop hold
	stop target
	unload
}

@test "an unprivileged user who fills the NAT table keeps no new connections out" {
	need setpriv
	both_families unanswered
}

# A newcomer whose source has many flows takes nobody else's, and gets none.
@test "a full NAT table: who has most flows gives way, who has few keeps them" {
	need setpriv
	load_small
	add udp 10.0.0.10 81 10.0.0.99 8080
	setpriv --reuid 65534 --regid 65534 --clear-groups "$PEERS/ports" 10.0.0.10 81 10000 10 3>&-
	fill 65533 81 20000
	is_full
	[ "$(shunt -j nat flows | jq '[.[] | select(.src | test(":100[0-9][0-9]$"))] | length')" = 10 ]
	[ "$(status nat.refused)" = 0 ]
}
