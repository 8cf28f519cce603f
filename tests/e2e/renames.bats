#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Interfaces that get other names while shunt is loaded: an attachment stays with its interface, and
# commands know the interface by its present name. Packets for 10.1.2.4 come in by the interface that
# was late0 at first, those for 10.1.2.5 by the one that was late1, and so on.

load ../lib/steer
load ../lib/late_links

setup()
{
	find_hosts
	load_steer r0
	make_link late0 4
	make_link late1 5
}

teardown()
{
	local i

	for i in late0 late1 late2 other0; do
		ip link del $i 2>/dev/null || true
	done
	clean_up_steer
}

swap()
{
	rename late0 between late1 late0 between late1
}

# rotate: late0 becomes late1, late1 late2, and late2 late0
rotate()
{
	rename late2 between late1 late2 late0 late1 between late0
}

# names HALF: the interfaces of a half (steer, nat, monitor), sorted; those without the program have
# an exclamation mark
names()
{
	status "$1.ifaces | map(.name + (if .attached then \"\" else \"!\" end)) | sort | join(\" \")"
}

names_are()
{
	[ "$(names "$1")" = "${*:2}" ]
}

# saved: the lines of 'shunt save' that name interfaces, sorted
saved()
{
	shunt save | grep -E '^(iface|nat|monitor) ' | sort | paste -sd ' '
}

# steered N VIA: who answers the packets that come in by the interface that was lateN at first
steered()
{
	meets "$2" udp "10.1.2.$(($1 + 4))" 80 "198.18.$(($1 + 104)).2"
}

steer_all()
{
	serve_router router 9001
	shunt steer add udp dst 10.1.2.0/24 to 127.0.0.1:9001
}

# unchanged: what is loaded is what 'save' prints, and applying that changes nothing
unchanged()
{
	shunt save >"$BATS_TEST_TMPDIR/saved"
	[ "$(shunt apply --check "$BATS_TEST_TMPDIR/saved")" = "nothing would change" ]
	shunt apply "$BATS_TEST_TMPDIR/saved"
	shunt apply "$BATS_TEST_TMPDIR/saved"
	diff "$BATS_TEST_TMPDIR/saved" <(shunt save)
}

# --- two interfaces swap their names --------------------------------------------------------

@test "renames: two interfaces swap their names: status, save, apply and load go on" {
	reload_steer --iface late0 --iface late1
	steer_all
	swap
	names_are steer late0 late1
	unchanged
	names_are steer late0 late1
	shunt load --iface late0 --iface late1
	shunt load --iface late1
	names_are steer late0 late1
	steered 0 9001
	steered 1 9001
}

@test "renames: two interfaces swap their names: apply of a file from before the swap changes nothing" {
	reload_steer --iface late0 --iface late1
	steer_all
	shunt save >"$BATS_TEST_TMPDIR/before-swap"
	swap
	shunt apply --check "$BATS_TEST_TMPDIR/before-swap" | grep -x 'nothing would change'
	shunt apply "$BATS_TEST_TMPDIR/before-swap"
	names_are steer late0 late1
	steered 0 9001
	steered 1 9001
}

@test "renames: two interfaces swap their names: the supervisor keeps both attached" {
	reload_steer --iface late0 --iface late1
	supervise
	steer_all
	swap
	wait_for names_are steer late0 late1
	unchanged
	steered 0 9001
	steered 1 9001
	swap
	shunt load --iface late0
	names_are steer late0 late1
	steered 0 9001
	steered 1 9001
}

@test "renames: two interfaces swap their names: unload --iface takes the one of that name now" {
	reload_steer --iface late0 --iface late1
	steer_all
	swap
	shunt unload --iface late0
	names_are steer late1
	steered 0 9001
	steered 1 beyond
	swap
	run shunt unload --iface late1
	[ "$status" = 1 ]
	[[ $output == *"--iface 'late1': not attached"* ]]
	shunt unload --iface late0
	names_are steer
	steered 0 beyond
}

@test "renames: two interfaces swap their names: unload --iface beside 'shunt run'" {
	reload_steer --iface late0 --iface late1
	supervise
	steer_all
	swap
	shunt unload --iface late0
	names_are steer late1
	steered 0 9001
	steered 1 beyond
}

@test "renames: one interface alone is attached: apply by names moves shunt to the other one" {
	reload_steer --iface late0
	steer_all
	shunt save >"$BATS_TEST_TMPDIR/before-swap"
	swap
	[ "$(saved)" = 'iface late1' ]
	shunt apply --check "$BATS_TEST_TMPDIR/before-swap" >"$BATS_TEST_TMPDIR/plan"
	grep -x "would attach to 'late0' (iface)" "$BATS_TEST_TMPDIR/plan"
	grep -x "would detach from 'late1' (iface)" "$BATS_TEST_TMPDIR/plan"
	[ "$(saved)" = 'iface late1' ]
	shunt apply "$BATS_TEST_TMPDIR/before-swap"
	names_are steer late0
	steered 0 beyond
	steered 1 9001
}

@test "renames: two interfaces swap their names: origin local goes along" {
	reload_steer --iface late0 --iface late1
	shunt steer add udp dst 10.7.7.7 origin local pass
	swap
	shunt steer add udp dst 10.7.7.8 origin local pass
	unchanged
	shunt unload --iface late0
	names_are steer late1
	shunt load --iface late0
	names_are steer late0 late1
	unchanged
}

@test "renames: a rule for an interface holds at the one of that name now" {
	reload_steer --iface late0 --iface late1
	serve_router router 9001 9002
	shunt steer add udp dst 10.1.2.0/24 iface late0 to 127.0.0.1:9001
	shunt steer add udp dst 10.1.2.0/24 iface late1 to 127.0.0.1:9002
	steered 0 9001
	steered 1 9002
	swap
	shunt load --iface late0 --iface late1
	[ "$(counter rules)" = 2 ]
	steered 0 9002
	steered 1 9001
	supervise
	swap
	wait_for steered 0 9001
	wait_for steered 1 9002
	[ "$(counter rules)" = 2 ]
	unchanged
}

# limited FILES COMMAND...: runs the command with at most so many open files
limited()
{
	(ulimit -n "$1" && "${@:2}") 2>/dev/null
}

@test "renames: a load that fails after a swap leaves all attached" {
	local files failed=0

	reload_steer --iface late0 --iface late1 --monitor late0
	steer_all
	for ((files = 3; files < 40; files++)); do
		swap
		limited $files "$SHUNT" load --iface late0 --iface late1 --monitor late0 --monitor late1 || failed=$files
		names_are steer late0 late1
		[ $failed != $files ] || continue
		break
	done
	echo "failed with $failed files"
	[ "$failed" -gt 3 ]
	[ "$failed" -lt 39 ]
	names_are monitor late0 late1
	steered 0 9001
	steered 1 9001
}

# --- NAT and the monitor ---------------------------------------------------------------------

@test "renames: NAT and a monitor swap their interfaces with steering: each stays where it is" {
	reload_steer --iface late0 --nat late1 --monitor late0
	steer_all
	swap
	[ "$(saved)" = 'iface late1 monitor late1 nat late0' ]
	unchanged
	shunt load --iface late1 --nat late0 --monitor late1
	names_are steer late1
	names_are nat late0
	names_are monitor late1
	steered 0 9001
	steered 1 beyond
	shunt unload --monitor late1 --nat late0
	names_are nat
	names_are monitor
	names_are steer late1
}

@test "renames: steering, NAT and a monitor on both: all swap, with and without 'shunt run'" {
	reload_steer --iface late0 --iface late1 --nat late0 --nat late1 --monitor late0 --monitor late1
	steer_all
	swap
	unchanged
	for half in steer nat monitor; do
		names_are $half late0 late1
	done
	supervise
	swap
	unchanged
	for half in steer nat monitor; do
		wait_for names_are $half late0 late1
	done
	steered 0 9001
	steered 1 9001
	swap
	shunt unload --nat late0 --monitor late1
	names_are nat late1
	names_are monitor late0
	names_are steer late0 late1
	steered 0 9001
	steered 1 9001
}

@test "renames: a NAT rule after a swap attaches NAT to both interfaces once" {
	reload_steer --iface late0 --iface late1
	shunt nat add udp dst 10.1.2.9 dport 80 to 198.18.104.2:80
	names_are nat late0 late1 r1
	swap
	shunt nat add udp dst 10.1.2.10 dport 80 to 198.18.104.2:80
	names_are nat late0 late1 r1
	unchanged
	shunt nat flush
	names_are nat
}

# --- three interfaces, patterns, and names that are waited for -------------------------------

@test "renames: three interfaces pass their names around" {
	make_link late2 6
	reload_steer --iface late0 --iface late1 --nat late1 --monitor late2
	steer_all
	rotate
	[ "$(saved)" = 'iface late1 iface late2 monitor late0 nat late2' ]
	unchanged
	rotate
	shunt load --iface late2 --iface late0 --nat late0 --monitor late1
	names_are steer late0 late2
	names_are nat late0
	names_are monitor late1
	supervise
	rotate
	wait_for names_are monitor late2
	names_are steer late0 late1
	names_are nat late1
	steered 0 9001
	steered 1 9001
	steered 2 beyond
}

@test "renames: one interface is renamed: status and save have the new name, unload knows no other" {
	reload_steer --iface late0 --nat late0 --monitor late0
	rename late0 other0
	[ "$(saved)" = 'iface other0 monitor other0 nat other0' ]
	for half in steer nat monitor; do
		names_are $half other0
	done
	supervise
	rename other0 late2
	wait_for names_are steer late2
	[ "$(saved)" = 'iface late2 monitor late2 nat late2' ]
	run shunt unload --iface other0
	[ "$status" = 1 ]
	[[ $output == *"--iface 'other0': not attached"* ]]
	shunt unload --iface late2 --nat late2
	[ "$(saved)" = 'monitor late2' ]
}

@test "renames: a file with the old name of an interface is refused, and all stays" {
	reload_steer --iface late0
	shunt save >"$BATS_TEST_TMPDIR/old"
	rename late0 other0
	run shunt apply --check "$BATS_TEST_TMPDIR/old"
	[ "$status" = 1 ]
	[[ $output == *"no interface 'late0'"* ]]
	run shunt apply "$BATS_TEST_TMPDIR/old"
	[ "$status" = 1 ]
	[[ $output == *"no interface 'late0'"* ]]
	names_are steer other0
}

@test "renames: an interface of a pattern takes the name of one that was named, which has another" {
	reload_steer --iface 'lat*' --iface late1
	steer_all
	rename late1 other0 late0 late1
	shunt save >"$BATS_TEST_TMPDIR/now"
	[ "$(saved)" = 'iface lat* iface other0' ]
	shunt apply "$BATS_TEST_TMPDIR/now"
	names_are steer late1 other0
	shunt load --iface late1
	names_are steer late1 other0
	steered 0 9001
	steered 1 9001
	supervise
	rename late1 late0 other0 late1
	wait_for names_are steer late0 late1
	unchanged
	steered 0 9001
	steered 1 9001
}

# one_left: the interface that was late0 has the entry that late1 waited for
one_left()
{
	names_are steer late1
	[ "$(saved)" = 'iface late1' ]
	steered 0 9001
}

@test "renames: an interface takes a name that an entry waits for: the entry is its own then" {
	reload_steer --iface late0 --iface late1
	steer_all
	ip link del late1
	rename late0 late1
	one_left
	run shunt load --iface late1
	[ "$status" = 0 ]
	[[ $output == *"'late0' is 'late1' now, and takes the place of the one that was waited for"* ]]
	one_left
	unchanged
	shunt unload --iface late1
	names_are steer
}

@test "renames: an interface takes a name that an entry waits for, beside 'shunt run'" {
	reload_steer --iface late0 --iface late1
	supervise
	steer_all
	ip link del late1
	wait_for names_are steer late0 'late1!'
	rename late0 late1
	wait_for one_left
	unchanged
	ip link add late0 type veth peer name other1
	supervised
	names_are steer late1
}

@test "renames: an interface of a pattern takes a name that an entry waits for: it is named now" {
	reload_steer --iface late1 --iface 'lat[e]*'
	steer_all
	ip link del late1
	rename late0 late1
	[ "$(saved)" = 'iface lat[e]* iface late1' ]
	shunt load --iface late1
	shunt unload --iface 'lat[e]*'
	one_left
}

@test "renames: an interface that is not attached takes a name that an entry waits for" {
	reload_steer --iface late1
	steer_all
	ip link del late1
	names_are steer 'late1!'
	rename late0 late1
	names_are steer 'late1!'
	shunt load --iface late1
	one_left
}
