#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# kill -9 of commands that change a part of what is loaded: the same command ends the change, or its
# opposite takes the change back; connections of the other halves go on; nothing is left at the end.
#
# Each command is killed at four points, spread over all of them; with POINTS=N at N, with EVERY_POINT=1
# at all.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/kills
load ../lib/streams

MORE=$CGROUP_ROOT/more

setup_file()
{
	make_hosts
}

teardown_file()
{
	remove_hosts
}

setup()
{
	need strace socat
	find_hosts
	mkdir -p "$CGROUP" "$MORE"
	host_state >"$BATS_TEST_TMPDIR/before"
	network_before=$(network)
}

teardown()
{
	local maps

	maps=$(own_maps)
	clean_up_steer
	nothing_left "$maps"
	diff <(echo "$network_before") <(network)
}

network()
{
	ip rule
	ip -6 rule
	ip route show table all proto 115
	tc qdisc show
	net_programs
}

# --- traffic -----------------------------------------------------------------------------

start_steered()
{
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9001
	serve_router tp 9001
	talk steered tcp 10.1.2.3 80
	said steered via=9001
}

# One connection of two programs in the cgroup, on the fast path.
start_bypassed()
{
	spawn echo in_cgroup socat TCP-LISTEN:7100,bind=127.0.0.1,reuseaddr PIPE
	wait_for listens 7100
	spawn bypassed in_cgroup socat - TCP:127.0.0.1:7100
	wait_for connected # it reads what it is told by then
	wait_for echoes_by_fast_path
}

echoes_by_fast_path()
{
	echoes && [ "$(status bypass.redirected_bytes)" -gt 0 ]
}

connected()
{
	[ -n "$(ss -Htn state established dport = :7100)" ]
}

# The connection carries one more line there and back.
echoes()
{
	tell bypassed "line $((echoed += 1)) of the bypass"
	said bypassed "^line $echoed of the bypass$"
}

start_translated()
{
	shunt nat add tcp dst 172.16.240.9 dport 80 to 10.3.0.1:80
	talk translated tcp 172.16.240.9 80
	said translated via=beyond
}

# goes_on KIND...: connections of these kinds (steered, bypassed, translated) go on
goes_on()
{
	local kind

	for kind; do
		case $kind in
		bypassed) echoes ;;
		*) exchange "$kind" on ;;
		esac
	done
}

# --- the loop ----------------------------------------------------------------------------

# state: what is loaded and attached, without what traffic changes
state()
{
	shunt -j status | jq -S '{halves, draining,
		bypass: (.bypass | {cgroups, max_bytes, excludes}),
		steer: (.steer | {ifaces, patterns, rules, route_present}),
		nat: [.nat.ifaces[] | {name, attached}],
		monitor: [.monitor.ifaces[] | {name, attached}]}'
	network
	find "$PIN_DIR" -type f -o -type d | sort
}

# some: of the lines of standard input, the first, the last and a few between
some()
{
	awk -v all="${EVERY_POINT:-0}" -v most="${POINTS:-4}" '{ line[NR] = $0 } END {
		step = all || NR <= most ? 1 : (NR - 1) / (most - 1)
		for (i = 1; i < NR + 0.5; i += step)
			print line[int(i + 0.5)]
	}'
}

# killed WORDS UNDO KIND...: kills 'shunt WORDS'. After each kill the same words end the change or, each
# second time, UNDO takes it back, and connections of each KIND go on.
killed()
{
	local -a words undo
	local name number points before after ends=1

	read -ra words <<<"$1"
	read -ra undo <<<"$2"
	before=$(state)
	points=$(changes "$SHUNT" "${words[@]}" | some)
	after=$(state)
	[ "$before" != "$after" ]
	[ -n "$points" ]
	shunt "${undo[@]}"
	diff <(echo "$before") <(state)
	while read -r name number; do
		ends=$((1 - ends))
		echo "'$1' killed at $name $number, then $([ $ends = 1 ] && echo "$1" || echo "$2")"
		killed_at "$name" "$number" "$SHUNT" "${words[@]}"
		goes_on "${@:3}"
		if [ $ends = 1 ]; then
			run shunt "${words[@]}"
			# killed at its end, it has done all
			[ "$status" = 0 ] || [[ $output == *"not attached"* || $output == *"not loaded"* ]]
			diff <(echo "$after") <(state)
		fi
		# there may be nothing to take back
		run shunt "${undo[@]}"
		[ "$status" = 0 ] || [[ $ends = 0 && ($output == *"not attached"* || $output == *"not loaded"*) ]]
		diff <(echo "$before") <(state)
		goes_on "${@:3}"
	done <<<"$points"
}

load_all_halves()
{
	shunt load --iface r0 --cgroup "$CGROUP=eager" --nat r0 --monitor r0 --force
}

@test "kills: load --iface and unload --iface, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	start_translated
	killed 'load --iface r1' 'unload --iface r1' steered bypassed translated
	shunt load --iface r1
	killed 'unload --iface r1' 'load --iface r1' steered bypassed translated
}

@test "kills: load --cgroup and unload --cgroup, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	start_translated
	killed "load --cgroup $MORE=eager --force" "unload --cgroup $MORE" steered bypassed translated
	shunt load --cgroup "$MORE=eager" --force
	killed "unload --cgroup $MORE" "load --cgroup $MORE=eager --force" steered bypassed translated
}

@test "kills: load --nat and unload --nat, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	killed 'load --nat r1' 'unload --nat r1' steered bypassed
	shunt load --nat r1
	killed 'unload --nat r1' 'load --nat r1' steered bypassed
}

@test "kills: load --monitor and unload --monitor, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	start_translated
	killed 'load --monitor r1' 'unload --monitor r1' steered bypassed translated
	shunt load --monitor r1
	killed 'unload --monitor r1' 'load --monitor r1' steered bypassed translated
}

@test "kills: load --max-bytes and --exclude, killed: each setting is old or new, and the same load ends the change" {
	local name number points before new=200000

	load_all_halves
	start_steered
	start_bypassed
	points=$(changes "$SHUNT" load --max-bytes 100000 --exclude port:99)
	while read -r name number; do
		before=$new new=$((new + 1000))
		shunt load --max-bytes $before
		echo "load --max-bytes killed at $name $number"
		killed_at "$name" "$number" "$SHUNT" load --max-bytes $new --exclude port:$((new / 1000))
		[[ " $before $new " == *" $(status bypass.max_bytes) "* ]]
		goes_on steered bypassed
		shunt load --max-bytes $new --exclude port:$((new / 1000))
		[ "$(status bypass.max_bytes)" = $new ]
		shunt -j status | jq -e --arg port "port:$((new / 1000))" '.bypass.excludes | any(. == $port)'
	done <<<"$points"
}

@test "kills: unload steering and load of steering, killed, beside all halves" {
	load_all_halves
	start_bypassed
	start_translated
	killed 'unload steering' 'load --iface r0' bypassed translated
	shunt unload steering
	killed 'load --iface r0' 'unload steering' bypassed translated
}

@test "kills: unload nat and load of NAT, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	killed 'unload nat' 'load --nat r0' steered bypassed
	shunt unload nat
	killed 'load --nat r0' 'unload nat' steered bypassed
}

@test "kills: unload monitor and load of the monitor, killed, beside all halves" {
	load_all_halves
	start_steered
	start_bypassed
	start_translated
	killed 'unload monitor' 'load --monitor r0' steered bypassed translated
	shunt unload monitor
	killed 'load --monitor r0' 'unload monitor' steered bypassed translated
}

@test "kills: unload bypass and load of the bypass, killed, beside all halves: a connection goes on by TCP" {
	load_all_halves
	start_steered
	start_bypassed
	start_translated
	killed 'unload bypass' "load --cgroup $CGROUP=eager --force" steered bypassed translated
	shunt unload bypass
	killed "load --cgroup $CGROUP=eager --force" 'unload bypass' steered bypassed translated
}

# --- two shunts ------------------------------------------------------------------------------

# killed_refused OPTION...: a load that is refused because the other shunt has its mark or table is
# killed; unload then leaves the other one's rules.
killed_refused()
{
	local name number points reached=0

	points=$(changes "$SHUNT" load --iface r1 "$@")
	[[ $points == *sendto* ]]
	while read -r name number; do
		echo "load $* killed at $name $number"
		# the first load may have more steps than the others
		! killed_at "$name" "$number" "$SHUNT" load --iface r1 "$@" || reached=$((reached + 1))
		shunt unload
		diff <(echo "$others") <(network)
	done < <(grep 'sendto\|exit_group' <<<"$points")
	[ $reached -ge 3 ]
}

@test "kills: load with a mark or a table that another shunt has, killed: unload leaves the other one's rules" {
	local others

	other load --iface r0
	others=$(network)
	killed_refused --table 4711
	killed_refused --mark 0x40000000
	other unload
}

# --- a reader that never reads -------------------------------------------------------------

start_stalled()
{
	shunt load --cgroup "$CGROUP=eager" --force
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
}

end_stalled()
{
	kill "$(cat "$BATS_TEST_TMPDIR/stall.pid")"
	wait_for ended stall
	rm "$BATS_TEST_TMPDIR"/stall.*
}

no_bypass()
{
	[ -z "$(find "$PIN_DIR" -maxdepth 1 -name 'bypass*')" ]
}

@test "kills: unload bypass --force with a reader that never reads, killed: the next one leaves nothing" {
	local name number points

	shunt load --iface r0
	start_steered
	start_stalled
	points=$(changes "$SHUNT" unload bypass --timeout 0 --force | POINTS=5 some)
	no_bypass
	end_stalled
	while read -r name number; do
		start_stalled
		echo "unload --force killed at $name $number"
		# it may have fewer steps than the one that was counted
		killed_at "$name" "$number" "$SHUNT" unload bypass --timeout 0 --force || true
		goes_on steered
		run shunt unload bypass --timeout 0 --force
		[ "$status" = 0 ] || [[ $output == *"not loaded"* ]]
		no_bypass
		goes_on steered
		end_stalled
	done <<<"$points"
}

# --- shunt run -------------------------------------------------------------------------------

# 'shunt run' begins anew when halves change. These are system calls of its second beginning, each
# with its number since the first one.
ANEW='execve 2
signalfd4 2
flock 5
epoll_create1 2'

# strace -D: the process is 'shunt run' itself
run_to_be_killed()
{
	${is_spawned:+exec} strace -D -qq -o /dev/null -e trace="$1" \
		-e inject="$1:signal=KILL:when=$2" "$SHUNT" run
}

is_served_or_killed()
{
	supervised || ended killed
}

# crash NAME: kills that 'shunt run' if it still runs
crash()
{
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/$1.pid")" 2>/dev/null || true
	wait_for ended "$1"
	rm "$BATS_TEST_TMPDIR/$1".*
}

# has_lock HALF: a supervisor serves it
has_lock()
{
	grep -q ":$(stat -c %i "$PIN_DIR/$1/links") " /proc/locks
}

@test "kills: shunt run, killed while it begins anew because halves change: traffic goes on, the next one serves all" {
	local name number reached=0

	shunt load --iface r0 --cgroup "$CGROUP=eager" --force
	start_steered
	start_bypassed
	while read -r name number; do
		echo "shunt run killed at $name $number"
		spawn killed run_to_be_killed "$name" "$number"
		wait_for is_served_or_killed
		shunt load --monitor r0
		wait_for served_again
		is_running killed || reached=$((reached + 1))
		crash killed
		goes_on steered bypassed
		spawn supervisor "$SHUNT" run
		wait_for has_lock monitor
		wait_for supervised
		shunt unload monitor
		goes_on steered bypassed
		wait_for supervised
		crash supervisor
	done <<<"$ANEW"
	[ $reached -ge 3 ]
}

served_again()
{
	ended killed || has_lock monitor
}
