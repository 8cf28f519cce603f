#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Real packets of a client reach the router's transparent listeners as the rules say, and
# no others do. steer.bash draws the hosts, addresses.bash says how a test runs with both
# families. Listeners on the router are named by their ports.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/random_rules

teardown()
{
	unwatch_marks 2>/dev/null || true
	sysctl -qw net.ipv4.tcp_syncookies=1 || true
	clean_up_steer
}

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

# --- what is not touched -----------------------------------------------------

own_service()
{
	add "$1" dst 10.1.0.0/16 dport 443 to 127.0.0.1:9001
	meets own "$1" 198.18.0.1 80
	meets beyond "$1" 10.1.2.3 80
	meets beyond "$1" 10.2.0.1 443
	[ "$(seen marked)" = 0 ]
}

@test "steer: what no rule matches is not touched: services of the host, forwarded packets" {
	local plain

	need nft
	serve_router router 9001
	serve own router --plain --name own tcp 198.18.0.1 80 udp 198.18.0.1 80 \
		tcp fd00::c612:1 80 udp fd00::c612:1 80
	watch_marks
	plain=$(seen plain)
	each_way own_service
	[ "$(seen plain)" -gt $((plain + 20)) ]
	[ "$(counter steered_packets)" = 0 ]

	# the counter does count
	add udp dst 10.1.0.0/16 dport 443 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 443
	[ "$(seen marked)" = 1 ]
}

own_connection()
{
	add tcp dst 0.0.0.0/0 to 127.0.0.1:9001
	meets 9001 tcp 10.1.2.3 80
	from router meets beyond tcp 10.1.2.3 80 198.19.0.1
}

@test "steer: answers to the router's own connections are left alone, also by a rule for everything" {
	serve_router router 9001
	reload_steer --iface r0 --iface r1
	each_family own_connection tcp
}

wildcard()
{
	add "$1" dst 10.1.0.0/16 dport 80 to 127.0.0.1:9001
	steers 9001 "$1" 10.1.2.3 80
	meets host "$1" 198.18.0.1 80
}

@test "steer: a listener on 0.0.0.0 at the same port does not shadow a rule" {
	serve_router router 9001
	serve host router --plain --name host tcp 0.0.0.0 80 tcp :: 80 udp 0.0.0.0 80 udp :: 80
	each_way wildcard
}

fragmented()
{
	local before

	add udp dst 10.1.2.3 dport 5060 to 127.0.0.1:9001
	serve_router router 9001
	before=$(counter fragments)
	ask --size 3000 udp 10.1.2.3 5060
	[[ $answer == *via=beyond* ]]
	[ "$(counter fragments)" = $((before + 3)) ]
	meets 9001 udp 10.1.2.3 5060
	stops router
}

# Without a supervisor nobody looks for a listener that starts after its rule.
@test "steer: without a supervisor fragments are not steered, and counted" {
	each_family fragmented udp
}

# ipv4 LENGTH PROTOCOL REST: in hexadecimal, from the client to 10.1.2.3
ipv4()
{
	echo "4500${1}0000000040${2}0000c61200020a010203$3"
}

ipv6()
{
	local net=fd000000000000000000000

	echo "60000000${1}${2}40${net}0c6120002${net}00a010203$3"
}

@test "steer: malformed packets are counted, and nothing else" {
	local ports=0fa00050 sent
	local -a packets=(
		"$(ipv4 001c 06 ${ports}00000000)"      # TCP, 8 bytes of it
		"$(ipv4 0018 11 $ports)"                # UDP, 4 bytes of it
		"$(ipv4 000a 11 ${ports}00080000)"      # shorter than its own header
		"$(ipv4 001c 11 | head -c 20)"          # half a header
		"44$(ipv4 001c 11 ${ports}00080000 | cut -c 3-)" # header length 16
		"55$(ipv4 001c 11 ${ports}00080000 | cut -c 3-)" # version 5
		"$(ipv6 0008 06 ${ports}00000000)"      # TCP, 8 bytes of it
		"$(ipv6 0004 11 $ports)"                # UDP, 4 bytes of it
		"$(ipv6 0000 3c)"                       # the extension header is missing
		"$(ipv6 0008 3c 1100010400000000)"      # nothing behind it
		"$(ipv6 0008 3c 11ff010400000000)"      # it says to be 2 KiB long
	)

	serve_router router 9001
	add udp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	"${client[@]}" "$PEERS/raw" c0 "$ROUTER_MAC" "${packets[@]}"
	sent=${#packets[@]}
	wait_for counted malformed "$sent"
	[ "$(counter malformed)" = "$sent" ]
	[ "$(counter steered_packets)" = 0 ]
	[ "$(counter no_listener)" = 0 ]
	meets 9001 udp 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
}

@test "steer: a second shunt on the interface: neither steers the other's flows" {
	serve_router router 9001 9002
	other load --iface r0 --mark 0x2000000 --table 20561
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	other steer add tcp dst 10.2.0.1 to 127.0.0.1:9002
	meets 9001 tcp 10.1.2.3 80
	meets 9002 tcp 10.2.0.1 80

	unload
	meets beyond tcp 10.1.2.3 80
	meets 9002 tcp 10.2.0.1 80

	shunt load --iface r0
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	other unload
	meets 9001 tcp 10.1.2.3 80
	meets beyond tcp 10.2.0.1 80
}

# Another program marks packets. Neither it nor the rules may disturb the other, and it goes
# on when shunt is unloaded.
works_beside_foreign()
{
	local before

	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	before=$(seen foreign)
	meets 9001 udp 10.1.2.3 80
	[ "$(seen foreign)" -gt "$before" ]
}

goes_on_alone()
{
	local before

	unload
	before=$(seen foreign)
	meets beyond udp 10.1.2.3 80
	[ "$(seen foreign)" -gt "$before" ]
}

@test "steer: another program at tcx sees every packet, and stays" {
	local result=0 pin=/sys/fs/bpf/foreign

	need nft
	serve_router router 9001
	watch_marks
	"$PEERS/foreign" tcx r0 $pin || result=$?
	[ $result != 77 ] || skip "no tcx in this kernel"
	works_beside_foreign
	reload_steer --iface r0
	works_beside_foreign
	goes_on_alone
	rm $pin
}

@test "steer: another program's clsact filter sees every packet, and stays" {
	local pin=/sys/fs/bpf/foreign

	need nft
	serve_router router 9001
	watch_marks
	unload
	"$PEERS/foreign" prog $pin
	tc qdisc add dev r0 clsact
	tc filter add dev r0 ingress prio 7 bpf direct-action object-pinned $pin ||
		{ rm $pin; skip "no cls_bpf in this kernel"; }
	shunt load --iface r0
	works_beside_foreign
	goes_on_alone
	tc filter show dev r0 ingress | grep -w foreign
	tc qdisc del dev r0 clsact
	rm $pin
}

@test "steer: an idle clsact qdisc that was there before stays" {
	unload
	tc qdisc add dev r0 clsact
	shunt load --iface r0
	unload
	tc qdisc show dev r0 | grep clsact
	tc qdisc del dev r0 clsact
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
	local got

	add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9001
	endpoint 10.1.2.3 80
	got=$("${client[@]}" curl -gsSm 10 --noproxy '*' "http://$REPLY/")
	echo "$got"
	translate 10.1.2.3 80 198.18.0.2
	[ "$got" = "${words[*]}" ]
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

haproxy_config()
{
	cat <<-END
		global
		$(! kernel_before 606 || echo noreuseport)
		defaults
		timeout connect 5s
		timeout client 5s
		timeout server 5s
		frontend answers
		mode http
		bind 127.0.0.1:9001 transparent
		bind [::1]:9001 transparent
		http-request return status 200 content-type text/plain lf-string "%[dst] %[dst_port] %[src]"
		listen relay4
		bind 127.0.0.1:9002 transparent
		server original 0.0.0.0 source 0.0.0.0 usesrc clientip
		listen relay6
		bind [::1]:9002 transparent
		server original [::] source [::] usesrc clientip
	END
}

@test "steer: HAProxy with a transparent bind, and curl" {
	need haproxy curl
	# answers to the client's address come in at r1
	reload_steer --iface r0 --iface r1
	haproxy_config >"$BATS_TEST_TMPDIR/haproxy.cfg"
	spawn haproxy haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
	wait_for listens 9001
	each_family fetch tcp
	each_family relay tcp
}

# --- commands ----------------------------------------------------------------

@test "steer: map_update: the example of zfw, 172.16.240.0 24 5060 5060 58997" {
	serve_router router 58997
	by_name map_update 172.16.240.0 24 5060 5060 58997
	steers 58997 udp 172.16.240.9 5060 198.18.0.2 5060
	steers 58997 tcp 172.16.240.9 5060 198.18.0.2 5060
	steers beyond udp 172.16.240.9 5060 198.18.0.2 5061
	steers beyond udp 172.16.240.9 5061 198.18.0.2 5060
	by_name map_delete_elem 172.16.240.0 24
	steers beyond udp 172.16.240.9 5060 198.18.0.2 5060
	[ "$(counter rules)" = 0 ]
}

@test "steer: map_update with any port, with host bits, for IPv6; map_delete_elem takes all of a prefix" {
	serve_router router 58997
	by_name map_update 10.1.2.3 16 0 0 58997
	steers 58997 udp 10.1.255.1 85
	steers 58997 tcp 10.1.0.0 443
	by_name map_update 10.1.0.0 16 5060 0 58997
	shunt steer add tcp dst 10.1.0.0/16 dport 85 pass
	[ "$(counter rules)" = 5 ]
	by_name map_delete_elem 10.1.2.3 16
	[[ $(shunt steer list) == 'tcp dst 10.1.0.0/16 dport 85 pass '* ]] # not made by map_update

	by_name map_update fd00::a01:0 112 80 0 58997
	family=6
	steers 58997 udp 10.1.2.3 80
	steers 58997 tcp 10.1.2.3 80
	by_name map_delete_elem fd00::a01:0 112
	steers beyond tcp 10.1.2.3 80
}

@test "steer: rules and status count packets and flows" {
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 80
	meets 9001 udp 10.1.2.3 80
	meets 9001 tcp 10.1.2.3 80
	shunt -j steer list | jq -e 'map({ (.proto): . }) | add |
		.udp.packets == 2 and .udp.bytes > 2 * 34 and .udp.misses == 0 and
		.udp.flows == 2 and .tcp.packets >= 1 and .tcp.flows == 1'
	[ "$(counter steered_flows)" = 3 ]
	[ "$(counter steered_packets)" -ge 5 ]
}

@test "steer: trace: lines for steered flows" {
	serve_router router 58997
	shunt steer add udp dst 172.16.240.0/24 dport 5060 to 127.0.0.1:58997
	shunt steer add tcp dst fd00::a01:203 dport 80 to '[::1]:58997'
	meets 58997 udp 172.16.240.9 5060 198.18.0.2 4711
	shunt trace on
	meets 58997 udp 172.16.240.9 5060 198.18.0.2 5060
	family=6
	meets 58997 tcp 10.1.2.3 80 198.18.0.2 4712
	traced 'shunt: steer udp 198.18.0.2:5060 -> 172.16.240.9:5060 to 127.0.0.1:58997$'
	traced 'shunt: steer tcp \[fd00:.*:c612:0002\]:4712 -> \[fd00:.*:0a01:0203\]:80 to \[.*:0001\]:58997$'
	if traced 'shunt: steer udp 198.18.0.2:4711'; then
		return 1 # tracing was off at that time
	fi
}

@test "steer: load makes a rule and a table for both families; unload removes all, and more than once" {
	local maps

	ip rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560'
	ip -6 rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560'
	ip route show table 20560 | grep -q 'local default dev lo'
	ip -6 route show table 20560 | grep -q 'local default dev lo'
	maps=$(own_maps)
	[ "$maps" != '[]' ]
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001
	unload
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
	nothing_left "$maps"
	unload
}

@test "steer: an interface that is deleted takes no rule with it" {
	ip link add r2 type veth peer name c2
	reload_steer --iface r2 --iface r0
	serve_router router 9001
	shunt steer add udp dst 10.1.2.3 to 127.0.0.1:9001
	ip link del r2
	[ "$(status 'steer.ifaces[] | select(.name == "r2") | .attached')" = false ]
	meets 9001 udp 10.1.2.3 80
}
