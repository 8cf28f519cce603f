#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The first datagram after a router's start may be a large one that comes in fragments,
# as a SIP INVITE with many headers does. See steer.bash for the hosts. CONTROL=1 also
# tries nftables' TPROXY.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

TRIES=${TRIES:-5} # for each family and order

teardown()
{
	tproxy_off
	clean_up_steer
}

# large: sends one datagram of 3000 bytes, and counts whether the router answers it
large()
{
	tried=$((tried + 1))
	ask --size 3000 udp 10.1.2.3 5060 || true
	if [[ $answer == *via=9001* ]]; then
		arrived=$((arrived + 1))
	else
		echo "# IPv$family: $answer"
	fi
}

# tries STEP...: runs the steps and sends a datagram, TRIES times for each family
tries()
{
	local i step tried=0 arrived=0

	# starts the process that asks: later it would take time between start and datagram
	ask udp 10.1.2.3 80
	for ((i = 0; i < TRIES; i++)); do
		for family in 4 6; do
			for step; do
				$step
			done
			large
			stops router
			[ -n "${keeps_rules:-}" ] || shunt steer flush
		done
	done
	echo "# $BATS_TEST_DESCRIPTION: $arrived of $tried"
	echo "# $arrived of $tried" >&3
	[ "$arrived" = "$tried" ]
}

start_router()
{
	serve_router router 9001
}

make_rule()
{
	add udp dst 10.1.2.3 to 127.0.0.1:9001
}

@test "steer: the first fragmented datagram: the router starts, then the rule is added" {
	supervise
	tries start_router make_rule
}

@test "steer: the first fragmented datagram: the rule is added, then the router starts" {
	supervise
	tries make_rule start_router
}

@test "steer: the first fragmented datagram after a router's restart" {
	local keeps_rules=yes

	supervise
	for family in 4 6; do
		make_rule
	done
	tries start_router
}

start_router_for_all()
{
	serve router router udp :: 9001 udp 0.0.0.0 9001
}

@test "steer: the first fragmented datagram to a router that listens on all addresses" {
	supervise
	tries make_rule start_router_for_all
}

@test "steer: the first fragmented datagram without a supervisor, if the router started before the rule" {
	tries start_router make_rule
}

# The supervisor looks for listeners when it starts.
@test "steer: the first fragmented datagram after the supervisor's start" {
	make_rule
	start_router
	supervise
	tried=0 arrived=0
	large
	[ "$arrived" = 1 ]
}

@test "steer: control: the first fragmented datagram with nftables' TPROXY" {
	local keeps_rules=yes

	[ -n "${CONTROL:-}" ] || skip "only with CONTROL=1"
	tproxy_on \
		'iifname r0 meta nfproto ipv4 udp dport 5060 tproxy ip to 127.0.0.1:9001 meta mark set 1' \
		'iifname r0 meta nfproto ipv6 udp dport 5060 tproxy ip6 to [::1]:9001 meta mark set 1'
	tries start_router
}
