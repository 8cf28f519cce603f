#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Many rules: the rule that a packet meets in the loaded program, compared with a plain
# reading of the precedence (tests/peers/rules.c).

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	shunt load --iface lo
}

teardown()
{
	clean_up
}

# Prints the numbers of the rules that the packets meet.
answers()
{
	shunt steer test - <"$BATS_TEST_TMPDIR/packets" |
		sed -E 's/.* service ([0-9]+).*/\1/'
}

# agrees: the program and the plain reading find the same rules
agrees()
{
	answers >"$BATS_TEST_TMPDIR/got"
	diff "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/got" >"$BATS_TEST_TMPDIR/diff" && return
	head "$BATS_TEST_TMPDIR/diff"
	return 1
}

# random SHAPE RULES LOOKUPS: writes random rules and packets
random()
{
	local seed=${SEED:-$RANDOM}

	echo "SEED=$seed"
	"$PEERS/rules" "$seed" "$1" "$2" "$3" "$BATS_TEST_TMPDIR"
}

rules_are()
{
	[ "$(status steer.rules)" = "$1" ] &&
		[ "$(shunt -j steer list | jq length)" = "$1" ]
}

# --- which rule ---------------------------------------------------------------

@test "steer: 100,000 packets meet the right one of 4,000 rules: prefixes of all lengths" {
	random mixed 4000 100000
	shunt apply "$BATS_TEST_TMPDIR/rules"
	rules_are 4000
	agrees
}

@test "steer: packets meet the right rule: nested IPv6 prefixes of all lengths" {
	random nested 2000 20000
	shunt apply "$BATS_TEST_TMPDIR/rules"
	agrees
}

@test "steer: packets meet the right rule: thousands of port ranges, sources and interfaces in few prefixes" {
	random one 5000 30000
	shunt apply "$BATS_TEST_TMPDIR/rules"
	agrees
}

# checked TEXT: 'shunt check' says this of the rule store
checked()
{
	shunt -j check | jq -r '.[] | select(.name == "rule store") | "\(.result): \(.detail)"' |
		grep -xF "$1"
}

@test "steer: shunt check finds and counts each rule of the store" {
	checked 'ok: 0 rules, all in order'
	shunt steer add tcp dst 10.1.0.0/16 dport 80 iface lo pass
	checked 'ok: 1 rule, all in order'
	random mixed 3000 1
	shunt apply "$BATS_TEST_TMPDIR/rules"
	checked 'ok: 3000 rules, all in order'
}

# make_w0 [OPTION...]: a link from w0 to w1 and back, both with MAC as address
MAC=02:00:00:00:00:01
make_w0()
{
	ip link add w0 "$@" address $MAC type veth peer name w1 address $MAC
	ip link set w0 up
	ip link set w1 up
}

# inject IFACE MAC FILE: sends packets, which arrive there or at its other end
inject()
{
	xargs -n 500 "$PEERS/raw" "$1" "$2" <"$3"
}

# Prints how many packets each rule has counted: NUMBER COUNT
met()
{
	shunt -j steer list | jq -r '.[] | select(.packets > 0) | "\(.service) \(.packets)"' | sort
}

@test "steer: real packets are counted by the rule that they should meet" {
	unload
	make_w0
	shunt load --iface lo --iface w1
	random mixed 2000 4000
	shunt apply "$BATS_TEST_TMPDIR/rules"
	inject lo 00:00:00:00:00:00 "$BATS_TEST_TMPDIR/raw.lo"
	inject w0 $MAC "$BATS_TEST_TMPDIR/raw"
	[ "$(met | wc -l)" -gt 500 ]
	diff <(grep -v - "$BATS_TEST_TMPDIR/expected" | sort | uniq -c | awk '{ print $2, $1 }' | sort) <(met)
	ip link del w0
}

# The rules one by one, in any order, some of them twice and some for a while.
@test "steer: rules added and deleted one by one match as a file of them does" {
	local rule extra=()

	random one 250 20000
	while read -r -a rule; do
		[ $((RANDOM % 10)) != 0 ] || extra=(tcp dst 10.0.0.0/8 dport $((RANDOM + 1)) pass)
		[ ${#extra[@]} = 0 ] || shunt steer add "${extra[@]}" 2>/dev/null
		shunt steer add "${rule[@]}"
		[ $((RANDOM % 10)) != 0 ] || shunt steer add "${rule[@]}" 2>/dev/null
		[ ${#extra[@]} = 0 ] || shunt steer del "${extra[@]}"
		extra=()
	done < <(shuf "$BATS_TEST_TMPDIR/rules")
	# a deleted extra may have been one of the file's
	shunt -j apply "$BATS_TEST_TMPDIR/rules" | jq -e '.deleted == 0 and .added < 3'
	agrees
}

# --- killed -------------------------------------------------------------------

# killed_while SECONDS WORD...: runs shunt in a loop until the time is up, and
# kills it
killed_while()
{
	timeout -s KILL "$1" "$SHUNT" "${@:2}" 3>&- || true
}

@test "steer: kill -9 of commands leaves the store of rules intact" {
	local i before

	random one 300 2000
	shunt apply "$BATS_TEST_TMPDIR/rules"
	before=$(shunt save)
	for i in $(seq 60); do
		killed_while 0.00$((i % 10)) steer add tcp dst 10.0.0.0/8 dport $((20000 + i)) pass
		killed_while 0.00$((i % 7)) steer del tcp dst 10.0.0.0/8 dport $((20000 + i - 1))
	done
	rules_are "$(shunt save rules | grep -vc '^#')"
	for i in $(seq 60); do
		shunt steer del tcp dst 10.0.0.0/8 dport $((20000 + i)) 2>/dev/null
	done
	[ "$(shunt save)" = "$before" ]
	agrees
}

# --- limits and counters --------------------------------------------------------

@test "steer: --max-rules limits single rules and files" {
	unload
	shunt load --iface lo --max-rules 3
	shunt steer add tcp dst 10.0.0.1 pass
	shunt steer add tcp dst 10.0.0.2 pass
	shunt steer add tcp dst 10.0.0.3 pass
	run ! shunt steer add tcp dst 10.0.0.4 pass
	[[ $output == *"more than 3 rules"* ]]
	shunt steer add tcp dst 10.0.0.3 to 127.0.0.1:9 2>/dev/null
	run ! shunt apply - < <(for i in 1 2 3 4; do echo "tcp dst 10.0.1.$i pass"; done)
	[[ $output == *"more than 3 rules"* ]]
	rules_are 3
	shunt steer del tcp dst 10.0.0.1
	shunt steer add tcp dst 10.0.0.4 pass
	rules_are 3
}

@test "steer: --max-rules below the number of rules is refused, and changes nothing" {
	local file=$BATS_TEST_TMPDIR/file command

	unload
	shunt load --iface lo
	shunt steer add tcp dst 10.0.0.1 pass
	shunt steer add tcp dst 10.0.0.2 pass
	run -1 shunt load --max-rules 1
	[[ $output == *"--max-rules 1: there are 2 rules"* ]]
	run -1 shunt load --check --max-rules 1
	echo max-rules 1 >"$file"
	run -1 shunt load --config "$file"
	[[ $output == *"$file:1: --max-rules 1: there are 2 rules"* ]]
	shunt save rules | tail -n +2 >>"$file"
	for command in apply 'apply --check' 'load --config' 'load --check --config'; do
		# shellcheck disable=SC2086 # words
		run -1 shunt $command "$file"
		[[ $output == *"$file:3: no room for more than 1 rules"* ]]
	done
	shunt load --max-rules 2
	shunt save >"$file"
	unload
	shunt apply "$file"
	rules_are 2
}

datagram()
{
	echo x >"/dev/udp/$1/$2"
}

packets_of()
{
	shunt -j steer list | jq -c "[.[] | select(.dst == \"$1/32\") | .packets, .bytes]"
}

@test "steer: a rule that says pass counts packets and bytes, and goes on when rules change" {
	shunt steer add udp dst 127.0.0.2 pass
	datagram 127.0.0.2 5000
	datagram 127.0.0.2 5000
	[ "$(packets_of 127.0.0.2)" = '[2,88]' ] # with the link layer's 14
	# changed, among others, and in a new map
	shunt steer add udp dst 127.0.0.2 to 127.0.0.1:9 2>/dev/null
	[ "$(packets_of 127.0.0.2)" = '[2,88]' ]
	{ echo "udp dst 127.0.0.2 pass"; for i in $(seq 1 5000); do echo "tcp dst 10.0.0.1 dport $i pass"; done; } |
		shunt apply -
	datagram 127.0.0.2 5000
	[ "$(packets_of 127.0.0.2)" = '[3,132]' ]
	# a different rule begins at 0
	shunt steer del udp dst 127.0.0.2
	shunt steer add udp dst 127.0.0.2 pass
	[ "$(packets_of 127.0.0.2)" = '[0,0]' ]
}

listen()
{
	spawn "$1" socat -u "$2,ip-transparent" /dev/null
}

@test "steer: steer prune deletes rules whose listener is gone" {
	need socat
	shunt steer add tcp dst 10.0.0.1 to 127.0.0.1:9001
	shunt steer add udp dst 10.0.0.1 to 127.0.0.1:9001
	shunt steer add tcp dst 10.0.0.1 dport 80 to 127.0.0.1:9002
	shunt steer add tcp dst fd00::1 to '[::1]:9001'
	shunt steer add tcp dst 10.0.0.2 pass
	listen tcp TCP4-LISTEN:9001,bind=127.0.0.1
	wait_for listens 9001
	shunt steer prune
	rules_are 5 # too young to be deleted
	shunt steer prune --older-than 0
	[ "$(shunt -j steer list | jq -c 'map([.proto, .dst, .to])')" = \
		'[["tcp","10.0.0.2/32",null],["tcp","10.0.0.1/32","127.0.0.1:9001"]]' ] ||
		[ "$(shunt -j steer list | jq -c 'map([.proto, .dst, .to])')" = \
		'[["tcp","10.0.0.1/32","127.0.0.1:9001"],["tcp","10.0.0.2/32",null]]' ]
	for word in "-1" x 100000 ""; do
		run ! shunt steer prune --older-than "$word"
	done
}

@test "steer: a rule for an interface that does not exist waits; apply reads what save prints" {
	shunt steer add udp dst 10.0.0.2 iface late9 pass 2>&1 | grep "no interface 'late9' yet"
	shunt steer list | grep 'iface late9.*(no such interface)'
	shunt save >"$BATS_TEST_TMPDIR/rules"
	shunt steer flush
	shunt apply "$BATS_TEST_TMPDIR/rules" 2>&1 | grep "no interface 'late9' yet"
	rules_are 1
	shunt steer add udp dst 10.0.0.2 iface late9 pass 2>/dev/null
	rules_are 1
	ip link add late9 type veth peer name late8
	shunt apply "$BATS_TEST_TMPDIR/rules" 2>/dev/null
	run ! grep -F '(' <(shunt steer list)
	ip link del late9
	shunt steer del udp dst 10.0.0.2 iface late9
	rules_are 0
}

@test "steer: a rule for an interface follows it when it is made again" {
	ip link add w0 type veth peer name w1
	shunt steer add udp dst 10.0.0.1 iface w0 to 127.0.0.1:9
	shunt steer add udp dst 10.0.0.1 iface lo pass
	ip link del w0
	shunt steer list | grep 'iface w0.*(no such interface)'
	ip link add w0 index 77 type veth peer name w1
	shunt steer list | grep 'iface w0.*(the interface came later)'
	shunt steer add udp dst 10.0.0.1 iface w0 to 127.0.0.1:9 2>/dev/null
	run ! grep -F '(' <(shunt steer list)
	rules_are 2
	shunt steer test udp src 10.9.9.9 dst 10.0.0.1:5 iface w0 | grep 'to 127.0.0.1:9'
	shunt steer del udp dst 10.0.0.1 iface w0
	rules_are 1
	ip link del w0
}

@test "steer: load attaches to an interface that was made again, and its rules work at once" {
	unload
	make_w0
	shunt load --iface lo --iface w0
	shunt steer add udp dst 10.0.0.1 iface w0 pass
	ip link del w0
	make_w0 index 78
	shunt load --iface lo --iface w0
	# a datagram from 10.9.9.9:1 to 10.0.0.1:5
	"$PEERS/raw" w1 $MAC 4500001c00000000401100000a0909090a0000010001000500080000
	[ "$(packets_of 10.0.0.1)" = '[1,42]' ]
	ip link del w0
}

@test "steer: map_update and map_delete_elem take --pin-dir" {
	local other=/sys/fs/bpf/other

	shunt --pin-dir $other load --iface lo --mark 0x2000000 --table 20561
	"${SHUNT%/*}/map_update" --pin-dir $other 10.1.0.0 16 80 0 9001
	rules_are 0
	[ "$(shunt --pin-dir $other -j status | jq .steer.rules)" = 2 ]
	"${SHUNT%/*}/map_delete_elem" 10.1.0.0 16 --pin-dir $other
	[ "$(shunt --pin-dir $other -j status | jq .steer.rules)" = 0 ]
	shunt --pin-dir $other unload
}

# sets_abi BYTE
sets_abi()
{
	# shellcheck disable=SC2046 # words
	bpftool map update pinned "$PIN_DIR/steering/maps/shunt_conf" key 0 0 0 0 value \
		$(bpftool -j map dump pinned "$PIN_DIR/steering/maps/shunt_conf" 3>&- |
			jq -r --arg abi "$1" '.[0].value | .[0] = $abi | join(" ")') 3>&-
}

@test "steer: pins of another version are left alone, and every command says so" {
	local command ours

	ours=$(bpftool -j map dump pinned "$PIN_DIR/steering/maps/shunt_conf" 3>&- | jq -r '.[0].value[0]')
	sets_abi 0xff
	for command in status "steer list" "steer add tcp dst 10.0.0.1 pass" save "apply /dev/null" \
		"diverter -L" "load --iface lo" unload "trace on" sockets; do
		# shellcheck disable=SC2086 # words
		run ! shunt $command
		echo "$command: $output"
		[[ $output == *"another version"* ]]
	done
	sets_abi "$ours"
}
