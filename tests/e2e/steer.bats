#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Real packets of a client reach the router's transparent listeners as the rules say, and
# no others do. steer.bash draws the hosts, addresses.bash says how a test runs with both
# families. Listeners on the router are named by their ports.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/random_rules

# --- what a rule matches -----------------------------------------------------

prefix_and_range()
{
	add "$1" dst 10.1.0.0/16 dport 80-90 to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80
	steers 9001 "$1" 10.1.2.3 85
	steers 9001 "$1" 10.1.255.255 90
	steers 9001 "$1" 10.1.0.0 80
	steers beyond "$1" 10.1.2.3 79
	steers beyond "$1" 10.1.2.3 91
	steers beyond "$1" 10.0.255.255 85
	steers beyond "$1" 10.2.0.0 85
}

@test "steer: destination prefix and port range, bounds included; answers come from the original destination" {
	serve_router router 9001
	each_way prefix_and_range
}

other_protocol()
{
	local other=udp

	[ "$1" = tcp ] || other=tcp
	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80
	steers beyond "$1" 10.1.2.2 80
	steers beyond $other 10.1.2.3 80
}

@test "steer: a rule matches its protocol and address, and no others" {
	serve_router router 9001
	each_way other_protocol
}

source_and_its_ports()
{
	add "$1" dst 10.1.0.0/16 src 198.18.0.128/25 sport 5000-5010 to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80 198.18.0.130 5000
	steers 9001 "$1" 10.1.2.3 80 198.18.0.130 5010
	steers beyond "$1" 10.1.2.3 80 198.18.0.130 4999
	steers beyond "$1" 10.1.2.3 80 198.18.0.130 5011
	steers beyond "$1" 10.1.2.3 80 198.18.0.2 5000
}

@test "steer: rules with a source prefix and a source port range" {
	serve_router router 9001
	each_way source_and_its_ports
}

@test "steer: a rule for all destinations, and a listener on another address of the router" {
	serve router router tcp 198.19.0.1 9001 udp 198.19.0.1 9001
	shunt steer add tcp dst 0.0.0.0/0 to 198.19.0.1:9001
	shunt steer add udp dst 0.0.0.0/0 to 198.19.0.1:9001
	steers 9001 tcp 10.1.2.3 80
	steers 9001 udp 192.0.2.1 1
	steers 9001 tcp 255.0.0.1 65535
}

# beyond's packets arrive on r1.
bound_to_interface()
{
	add "$1" dst 172.16.0.1 iface r0 to 127.0.0.1:9001
	add "$1" dst 172.16.0.1 iface r1 to 127.0.0.1:9002
	steers 9001 "$1" 172.16.0.1 80
	from beyond meets 9002 "$1" 172.16.0.1 80 198.19.0.2

	add "$1" dst 172.16.0.1 to 127.0.0.1:9003
	steers 9001 "$1" 172.16.0.1 80
	del "$1" dst 172.16.0.1 iface r0
	steers 9003 "$1" 172.16.0.1 80
	from beyond meets 9002 "$1" 172.16.0.1 80 198.19.0.2
}

@test "steer: rules bound to an interface" {
	serve_router router 9001 9002 9003
	reload_steer --iface r0 --iface r1
	each_way bound_to_interface
}

# --- which rule wins ---------------------------------------------------------

precedence()
{
	local -a at=(dst 10.1.0.0/16)

	# the longest destination prefix wins, whatever else a rule has
	add "$1" dst 10.0.0.0/8 src 198.18.0.2 dport 80 to 127.0.0.1:9002
	steers 9002 "$1" 10.1.2.3 80
	add "$1" "${at[@]}" to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80
	steers 9002 "$1" 10.2.0.1 80
	# then the longest source prefix
	add "$1" "${at[@]}" src 198.18.0.0/24 to 127.0.0.1:9003
	steers 9003 "$1" 10.1.2.3 80
	add "$1" "${at[@]}" src 198.18.0.0/24 dport 80 to 127.0.0.1:9005
	add "$1" "${at[@]}" src 198.18.0.2 to 127.0.0.1:9004
	steers 9004 "$1" 10.1.2.3 80
	steers 9005 "$1" 10.1.2.3 80 198.18.0.3
	steers 9003 "$1" 10.1.2.3 443 198.18.0.3
	# then the narrowest range
	add "$1" "${at[@]}" src 198.18.0.2 dport 80-90 to 127.0.0.1:9006
	steers 9006 "$1" 10.1.2.3 80
	add "$1" "${at[@]}" src 198.18.0.2 dport 80 pass
	steers beyond "$1" 10.1.2.3 80
	steers 9006 "$1" 10.1.2.3 85
	steers 9004 "$1" 10.1.2.3 443
	# the other way round, as rules are deleted
	del "$1" "${at[@]}" src 198.18.0.2 dport 80
	steers 9006 "$1" 10.1.2.3 80
	del "$1" "${at[@]}" src 198.18.0.2 dport 80-90
	steers 9004 "$1" 10.1.2.3 80
	del "$1" "${at[@]}" src 198.18.0.2
	steers 9005 "$1" 10.1.2.3 80
}

@test "steer: precedence: longest prefix, then longest source, then narrowest range" {
	serve_router router 9001 9002 9003 9004 9005 9006
	each_way precedence
}

carve_out()
{
	add "$1" dst 10.1.0.0/16 to 127.0.0.1:9001
	add "$1" dst 10.1.9.0/24 pass
	add "$1" dst 10.1.9.9 dport 443 to 127.0.0.1:9002
	add "$1" dst 10.1.0.0/16 dport 5060 pass
	steers 9001 "$1" 10.1.8.255 80
	steers beyond "$1" 10.1.9.0 80
	steers beyond "$1" 10.1.9.9 80
	steers 9002 "$1" 10.1.9.9 443
	steers beyond "$1" 10.1.2.3 5060
}

@test "steer: precedence: pass rules make exceptions, and rules make exceptions of those" {
	serve_router router 9001 9002
	each_way carve_out
	[ "$(counter no_listener)" = 0 ]
}

# No rule of the longest prefix matches: the next shorter prefix is tried.
shorter_prefix()
{
	add "$1" dst 10.0.0.0/8 dport 80 to 127.0.0.1:9001
	add "$1" dst 10.1.0.0/16 dport 443 to 127.0.0.1:9002
	add "$1" dst 10.1.2.0/24 dport 85 to 127.0.0.1:9003
	steers 9003 "$1" 10.1.2.3 85
	steers 9002 "$1" 10.1.2.3 443
	steers 9001 "$1" 10.1.2.3 80
	steers beyond "$1" 10.1.2.3 90
	del "$1" dst 10.1.0.0/16 dport 443
	steers beyond "$1" 10.1.2.3 443
	steers 9001 "$1" 10.1.2.3 80
}

@test "steer: precedence: when no rule of the longest prefix matches, shorter ones are tried" {
	serve_router router 9001 9002 9003
	each_way shorter_prefix
}

@test "steer: random rules: steer test agrees with a plain reading of the precedence" {
	local script=$BATS_TEST_TMPDIR/script seed=${SEED:-$RANDOM}

	echo "SEED=$seed"
	random_script "$seed" >"$script"
	play "$script"
	shunt steer flush
	[ "$(counter rules)" = 0 ]
}

# Asks until there is a line on its input; prints which listeners answered.
keep_asking()
{
	until [ -e "$BATS_TEST_TMPDIR/enough" ]; do
		ask udp 10.1.2.3 80
		echo "$answer"
	done
}

@test "steer: while rules change, no packet slips through to another" {
	local i pid

	serve_router router 9001 9002 9003
	shunt steer add udp dst 10.0.0.0/8 to 127.0.0.1:9003
	shunt steer add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	keep_asking >"$BATS_TEST_TMPDIR/answers" 3>&- &
	pid=$!
	wait_for has_answer_of 9001
	for i in 1 2 1 2 1 2; do
		# the rule itself; others before it; groups of prefixes above and below
		shunt steer add udp dst 10.1.0.0/16 to 127.0.0.1:900$i
		shunt steer add udp dst 10.1.0.0/16 src 198.18.0.0/24 dport 443 pass
		shunt steer add udp dst 10.1.2.3 dport 443 pass
		shunt steer add udp dst 10.0.0.0/12 pass
		shunt steer del udp dst 10.1.0.0/16 src 198.18.0.0/24 dport 443
		shunt steer del udp dst 10.0.0.0/12
		shunt steer del udp dst 10.1.2.3 dport 443
	done
	wait_for has_answer_of 9002
	wait_for has_answers 50
	touch "$BATS_TEST_TMPDIR/enough"
	wait $pid
	[ "$(grep -cv 'via=900[12] by=listener' "$BATS_TEST_TMPDIR/answers")" = 0 ]
}

has_answer_of()
{
	grep -q "via=$1" "$BATS_TEST_TMPDIR/answers"
}

has_answers()
{
	[ "$(wc -l <"$BATS_TEST_TMPDIR/answers")" -ge "$1" ]
}

# --- sockets that already have a flow ----------------------------------------

established()
{
	add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" tcp 10.1.2.3 80
	said "flow$family" via=9001
	del tcp dst 10.1.0.0/16
	meets beyond tcp 10.1.2.3 80
	exchange "flow$family" on
	add tcp dst 10.1.0.0/16 to 127.0.0.1:9002
	meets 9002 tcp 10.1.2.3 80
	exchange "flow$family" on
	add tcp dst 10.1.2.3 pass
	meets beyond tcp 10.1.2.3 80
	exchange "flow$family" on
}

@test "steer: an established TCP flow keeps its socket when rules change" {
	serve_router router 9001 9002
	each_family established tcp
}

connected()
{
	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" udp 10.1.2.3 80
	said "flow$family" 'via=9001 by=listener'
	exchange "flow$family" 'via=9001 by=flow'
	del udp dst 10.1.0.0/16
	exchange "flow$family" 'via=9001 by=flow'
	meets beyond udp 10.1.2.3 80
	add udp dst 10.1.0.0/16 to 127.0.0.1:9002
	exchange "flow$family" 'via=9001 by=flow'
	# another flow to the same address goes by the rules
	meets 9002 udp 10.1.2.3 80
}

@test "steer: a connected UDP socket keeps its flow" {
	serve_router router --connect 9001 9002
	each_family connected udp
}

@test "steer: a connected UDP socket with SO_REUSEPORT keeps its flow" {
	serve_router router --connect --flow-reuseport 9001 9002
	each_family connected udp
}

unconnected()
{
	add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	talk "flow$family" udp 10.1.2.3 80
	said "flow$family" 'via=9001 by=listener'
	exchange "flow$family" 'via=9001 by=listener'
	exchange "flow$family" 'via=9001 by=listener'
	meets 9001 udp 10.1.2.3 80
	# a changed rule is for new flows, a deleted one for all
	add udp dst 10.1.0.0/16 to 127.0.0.1:9002
	exchange "flow$family" 'via=9001 by=listener'
	meets 9002 udp 10.1.2.3 80
	del udp dst 10.1.0.0/16
	add udp dst 10.1.0.0/16 to 127.0.0.1:9002
	exchange "flow$family" 'via=9002 by=listener'
}

@test "steer: an unconnected reply socket on the original destination does not swallow the flow" {
	serve_router router 9001 9002
	each_family unconnected udp
}

@test "steer: unconnected reply sockets with SO_REUSEPORT, as in ziti-router, do not swallow the flow" {
	serve_router router --flow-reuseport 9001 9002
	each_family unconnected udp
}

reused_port()
{
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	talk "first$family" --sport 4000 tcp 10.1.2.3 80
	said "first$family" via=9001
	tell "first$family" bye # the router closes first
	reap "first$family"
	in_time_wait
	# like any other listener, this one accepts the client's second SYN
	meets 9001 tcp 10.1.2.3 80 198.18.0.2 4000
}

in_time_wait()
{
	ss -Htan state time-wait | grep -q :4000
}

@test "steer: a client that reuses its port within TIME_WAIT gets through" {
	serve_router router 9001
	each_family reused_port tcp
}

# --- the listener comes and goes ---------------------------------------------

listener_gone()
{
	local before

	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	serve_router router 9001
	meets 9001 "$1" 10.1.2.3 80
	[ "$(misses)" = 0 ]
	stops router
	before=$(counter no_listener)
	meets beyond "$1" 10.1.2.3 80
	[ "$(counter no_listener)" -gt "$before" ]
	[ "$(misses)" -ge 1 ]
	serve_router router 9001
	meets 9001 "$1" 10.1.2.3 80
	stops router
}

@test "steer: listener gone: the packet passes and is counted; back: it is found again" {
	each_way listener_gone
}

shared()
{
	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	if kernel_before 606; then
		# before 6.6 bpf_sk_assign() refuses these listeners
		meets beyond "$1" 10.1.2.3 80
		[ "$(misses)" -ge 1 ]
		[ "$(counter listener_with_reuseport)" -ge 1 ]
		return
	fi
	for _ in {1..24}; do
		ask "$1" 10.1.2.3 80
		echo "$answer"
	done >"$BATS_TEST_TMPDIR/shared"
	grep -q 'via=one' "$BATS_TEST_TMPDIR/shared"
	grep -q 'via=two' "$BATS_TEST_TMPDIR/shared"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/shared")" = 24 ]
}

listener_tested()
{
	local word

	for word in "$@"; do
		shunt steer test "$word" src 198.18.0.2 dst 10.1.2.3:80
	done
}

@test "steer: steer test says whether the listener exists" {
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 10.1.2.4 pass
	[ "$(listener_tested tcp udp | grep -c '^    no listener: the packet passes$')" = 2 ]
	serve_router router 9001
	[ "$(listener_tested tcp udp | grep -c '^    the listener is there$')" = 2 ]
	shunt -j steer test tcp src 198.18.0.2 dst 10.1.2.3:80 | jq -e '.listener and .transparent'
	stops router
	spawn plain socat TCP4-LISTEN:9001,bind=127.0.0.1,reuseaddr EXEC:cat
	wait_for listens 9001
	listener_tested tcp | grep 'the listener lacks IP_TRANSPARENT: the packet passes'
	shunt -j steer test tcp src 198.18.0.2 dst 10.1.2.3:80 |
		jq -e '.listener and (.transparent | not)'
	shunt -j steer test udp src 198.18.0.2 dst 10.1.2.3:80 | jq -e '.listener | not'
	[ "$(shunt steer test tcp src 198.18.0.2 dst 10.1.2.4:80 | grep -c listener)" = 0 ]
	shunt -j steer test tcp src 198.18.0.2 dst 10.1.2.4:80 | jq -e 'has("listener") | not'
	[ "$(echo tcp src 198.18.0.2 dst 10.1.2.3:80 | shunt steer test -)" = \
		"tcp dst 10.1.2.3 to 127.0.0.1:9001" ]
}

@test "steer: listeners with SO_REUSEPORT share the flows; before Linux 6.6 they get none" {
	serve_router one --reuseport --name=one 9001
	serve_router two --reuseport --name=two 9001
	each_way shared
}
