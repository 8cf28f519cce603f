#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# load and unload under live connections, and killed at any point: no byte is lost, no
# connection breaks, and the next load or unload makes a clean state.

load ../lib/common
load ../lib/kills
load ../lib/streams

setup()
{
	mkdir -p "$CGROUP"
}

teardown()
{
	clean_up
}

# --- under live connections --------------------------------------------------

# on_fast_path: bytes are being redirected now
on_fast_path()
{
	wait_for status_is bypass.redirected_bytes -gt \
		$(($(status bypass.redirected_bytes) + 16 * MIB))
}

# reloads COUNT [OPTION...]: unload and load while COUNT connections take turns, which keeps
# them on the fast path, and COUNT connections send as fast as they can
reloads()
{
	local maps

	load_eager
	maps=$(own_maps)
	start_streams turns 5000 "$1" -t 50000 "${@:2}"
	start_streams free 5001 "$@"
	[ "$(status bypass.pairs)" = $(($1 * 2)) ]
	on_fast_path
	unload
	nothing_left "$maps"
	flows_on turns
	flows_on free

	load_eager
	spawn pair peer pair plain
	said pair ready
	[ "$(status bypass.pairs)" = 1 ]
	[ "$(status bypass.redirected_bytes)" -gt 0 ]
	unload
	flows_on turns
	flows_on free
	end_streams turns "$1"
	end_streams free "$1"
	tell pair
	reap pair
}

@test "bypass: unload and load again while 200 connections stream both ways" {
	reloads 100
}

@test "bypass: unload and load again while 20 connections stream both ways, blocking threads" {
	reloads 10 -b
}

@test "bypass: unload lists a reader that never reads; its bytes wait for it" {
	local result=0 maps

	load_eager
	maps=$(own_maps)
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled

	shunt unload --timeout 1 2>"$BATS_TEST_TMPDIR/list" || result=$?
	cat "$BATS_TEST_TMPDIR/list"
	[ $result = 1 ]
	grep -Eq '127\.0\.0\.1:[0-9]+ .*127\.0\.0\.1:[0-9]+ .*[1-9][0-9]* bytes' \
		"$BATS_TEST_TMPDIR/list"
	[ "$(status loaded)" = false ]
	nothing_attached
	[ "$(map_entries shunt_socks)" -gt 0 ]

	tell stall
	said stall drained
	unload
	nothing_left "$maps"
	tell stall
	said stall finished
	reap stall
}

@test "bypass: unload ends when a reader that never reads closes" {
	load_eager
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
	run shunt unload --timeout 0
	[ "$status" = 1 ]
	end_all
	unload
}

# A line of /proc/locks: the process of that name holds a lock, or waits for one.
holds_lock()
{
	grep -Eq ": FLOCK .* $(cat "$BATS_TEST_TMPDIR/$1.pid") " /proc/locks
}

waits_for_lock()
{
	grep -q -- "-> FLOCK .* $(cat "$BATS_TEST_TMPDIR/$1.pid") " /proc/locks
}

@test "bypass: two unloads at once: the second one waits, then has nothing to do" {
	load_eager
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
	spawn first "$SHUNT" unload --timeout 20
	wait_for holds_lock first
	spawn second "$SHUNT" unload
	wait_for waits_for_lock second
	tell stall
	said stall drained
	reap first
	reap second
	tell stall
	reap stall
}

@test "bypass: load twice and unload twice change nothing" {
	local maps

	unload
	load_eager
	maps=$(own_maps)
	load_eager
	[ "$(own_maps)" = "$maps" ]
	unload
	unload
	nothing_left "$maps"
}

# --- kill -9 -----------------------------------------------------------------

# --force skips the self-tests, which change nothing and take long
load_both()
{
	shunt load --cgroup "$CGROUP=eager" --iface lo --force
}

network()
{
	ip rule
	ip -6 rule
	ip route show table all
	ip -6 route show table all
	tc qdisc show
	tc filter show dev lo ingress
	net_programs dev lo
}

# Works again after whatever happened: load comes up new, and unload leaves
# nothing of it nor of MAPS, which the killed command left.
recovers()
{
	local maps=$1

	load_both
	[ "$(status loaded)" = true ]
	[ "$(status 'bypass.cgroups[0].attached')" = true ]
	[ "$(status 'steer.ifaces[0].attached')" = true ]
	leaves_nothing "$(jq -nc "$maps + $(own_maps)")"
}

# leaves_nothing MAPS: unload restores the host
leaves_nothing()
{
	unload
	nothing_left "$1"
	diff <(echo "$network_before") <(network)
}

# After one point comes unload, after the next one load: both after each would take too long.
other_way()
{
	[ "$1" = leaves_nothing ] && echo recovers || echo leaves_nothing
}

@test "bypass: kill -9 of load at every point where it changes something" {
	local name number maps network_before points way

	need strace
	network_before=$(network)
	points=$(changes "$SHUNT" load --cgroup "$CGROUP=eager" --iface lo --force)
	unload
	echo "$points"
	[ "$(wc -l <<<"$points")" -gt 10 ]
	while read -r name number; do
		way=$(other_way "${way:-}")
		echo "load killed at $name $number, then $way"
		killed_at "$name" "$number" "$SHUNT" load --cgroup "$CGROUP=eager" --iface lo --force
		maps=$(own_maps)
		$way "$maps"
	done <<<"$points"
}

@test "bypass: kill -9 of unload at every point where it changes something" {
	local name number maps network_before points way

	need strace
	network_before=$(network)
	load_both
	points=$(changes "$SHUNT" unload)
	echo "$points"
	[ "$(wc -l <<<"$points")" -gt 10 ]
	while read -r name number; do
		way=$(other_way "${way:-}")
		echo "unload killed at $name $number, then $way"
		load_both
		maps=$(own_maps)
		killed_at "$name" "$number" "$SHUNT" unload
		$way "$maps"
	done <<<"$points"
}

# A connection that was on the fast path goes on by TCP.
@test "bypass: kill -9 of unload while a connection is on the fast path" {
	local name number points i=0

	need strace
	load_both
	points=$(changes "$SHUNT" unload)
	while read -r name number; do
		load_both
		spawn pair$((i += 1)) peer pair plain
		said pair$i ready
		killed_at "$name" "$number" "$SHUNT" unload
		unload
		tell pair$i
		reap pair$i
	done <<<"$points"
}
