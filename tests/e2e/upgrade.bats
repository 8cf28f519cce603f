#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# 'shunt upgrade': another version takes over what is loaded, under traffic of all halves. tests/next
# builds that version.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams
load ../lib/all_halves
load ../lib/versions

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
	own_version
}

# loaded: all pins, and the programs that the links run
loaded()
{
	local link

	find "$PIN_DIR" -printf '%P %i\n' | sort
	for link in "$PIN_DIR"/*/links/*; do
		bpftool -j link show pinned "$link" 3>&- | jq -c '[.id, .prog_id]'
	done
	shunt -j status | jq -c '[.steer.ifaces, .steer.rules, .bypass.cgroups, .nat.ifaces]'
}

@test "upgrade: to another version and back, under traffic of all halves" {
	local programs

	start_traffic 100
	traffic_flows
	next
	run -1 shunt status
	[[ $output == *"'shunt upgrade' replaces that version by this one"* ]]
	programs=$(loaded | grep '^\[')
	shunt upgrade
	[ "$(comm -12 <(sort <<<"$programs") <(loaded | grep '^\[' | sort))" = "" ]
	wait_for runs_installed
	traffic_flows
	[ "$(status steer.rules)" = 2 ]
	install_version "$first"
	shunt upgrade
	wait_for runs_installed
	traffic_flows
	end_traffic
}

# kept: rules, with their counters, and flows
kept()
{
	shunt -j steer list
	shunt -j nat list | jq 'map(del(.packets, .bytes))'
	shunt -j nat flows |
		jq 'map(del(.idle_ms, .out_packets, .in_packets, .out_bytes, .in_bytes)) | sort'
}

@test "upgrade: rules, counters, flows of UDP and NAT stay" {
	local before

	shunt load --iface r0 --nat r1 --monitor r0
	shunt steer add udp dst 10.1.0.0/16 dport 5000 to 127.0.0.1:7003
	shunt nat add tcp dst 172.16.240.9 dport 7002 to 10.3.0.1
	start_pulse
	start_translated 4
	flows_on translated 2
	tell source
	reap source
	before=$(kept)
	next
	shunt upgrade
	diff <(echo "$before") <(kept)
	[ "$(shunt -j steer list | jq '.[0].flows')" = 1 ]
	end_streams translated 4
}

# redirected: bytes on the fast path so far, and the pairs there
redirected()
{
	shunt -j sockets | jq '[.. | .redirected_bytes? // empty] | add'
}

members()
{
	map_entries shunt_socks
}

redirected_more()
{
	[ "$(redirected)" -gt "$1" ]
}

@test "upgrade: where the maps have the same form, pairs stay on the fast path" {
	local before members

	shunt load --cgroup "$CGROUP=eager"
	spawn supervisor "$SHUNT" run
	start_streams pairs 5000 20 -t 20000
	flows_on pairs 4
	members=$(members)
	[ "$members" = 40 ]
	patched
	run -0 shunt upgrade
	[ "$output" = "shunt: bypass: runs the programs of shunt 0.2.1" ]
	[ "$(members)" = "$members" ]
	wait_for runs_installed
	before=$(redirected)
	wait_for redirected_more "$before"
	# and new connections
	start_streams more 5001 2
	[ "$(members)" = $((members + 4)) ]
	flows_on more 2
	end_streams more 2
	end_streams pairs 20
}

@test "upgrade: a program whose self-test fails takes over nothing" {
	local before

	start_traffic 10
	before=$(loaded)
	install_version "$PROJECT/build/tests/shunt-broken"
	run -1 shunt upgrade
	[[ $output == *"this kernel would lose data"*"; unload and 'load --force' overrule" ]]
	install_version "$first"
	[ "$(loaded)" = "$before" ]
	traffic_flows
	end_traffic
}

@test "upgrade: the same version again changes nothing" {
	local before

	shunt load --iface r0 --cgroup "$CGROUP" --monitor r0
	before=$(loaded)
	run -0 shunt upgrade
	[ "$(grep -c 'runs the programs of shunt .* already' <<<"$output")" = 4 ]
	[ "$(loaded)" = "$before" ]
}

@test "upgrade: --check says what would happen, and changes nothing" {
	local before

	shunt load --iface r0 --cgroup "$CGROUP"
	before=$(loaded)
	next
	run -0 shunt upgrade --check
	[[ $output == *"bypass: would run new programs; its pairs would go by TCP"* ]]
	[[ $output == *"steering: would run new programs; nothing is lost"* ]]
	install_version "$first"
	[ "$(loaded)" = "$before" ]
}

@test "upgrade: a reader that never reads keeps its bytes, and the new bypass works beside it" {
	shunt load --cgroup "$CGROUP=eager"
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
	next
	run -0 shunt upgrade
	shunt status | grep -q 'process [0-9]* (stall)'
	start_streams pairs 5000 4
	flows_on pairs 2
	wait_for promoted_some
	end_streams pairs 4
	tell stall
	said stall drained
	tell stall
	reap stall
}

promoted_some()
{
	[ "$(status bypass.promoted)" -gt 0 ]
}

@test "upgrade: nothing is loaded, wrong words" {
	run -1 shunt upgrade
	[[ $output == *"not loaded"* ]]
	run -2 shunt upgrade now
	[[ $output == *"unknown word 'now'"* ]]
}

# --- upgrades that fail or are killed ---------------------------------------------------------------

# of_version NEXT: whether all halves are of the version that is loaded first, or of the next
of_version()
{
	shunt -j status | jq -e '.loaded and (.steer.ifaces | all(.attached)) and
		(.bypass.cgroups | all(.attached)) and (.nat.ifaces | all(.attached))' >/dev/null
}

# some_points: every POINT_STEP-th of the points where an upgrade changes something
some_points()
{
	load ../lib/kills
	changes "$SHUNT" upgrade | awk -v step="${POINT_STEP:-12}" 'NR % step == 1 || step == 1'
}

start_little_traffic()
{
	start_traffic 4
	next
	points=$(some_points)
	of_version
	echo "$points"
	[ "$(wc -l <<<"$points")" -ge 5 ]
}

# The versions take turns: each killed upgrade is mended by an upgrade to one of them.
@test "upgrade: kill -9 at every point where it changes something" {
	local name number points version=$first

	need strace
	start_little_traffic
	while read -r name number; do
		echo "killed at $name $number"
		install_version "$version"
		shunt upgrade
		if [ "$version" = "$first" ]; then
			next
		else
			install_version "$first"
		fi
		killed_at "$name" "$number" "$SHUNT" upgrade || true
		[ "$version" = "$first" ] && version=$PROJECT/build/tests/shunt-next || version=$first
		shunt upgrade
		of_version
		traffic_flows
	done <<<"$points"
	end_traffic
	shunt unload
	[ ! -e "$PIN_DIR" ]
}

@test "upgrade: kill -9, then unload" {
	local name number points

	need strace
	shunt load --iface r0 --cgroup "$CGROUP=eager" --nat r1 --monitor r0
	next
	points=$(some_points)
	while read -r name number; do
		echo "killed at $name $number"
		shunt unload
		[ ! -e "$PIN_DIR" ]
		install_version "$first"
		shunt load --iface r0 --cgroup "$CGROUP=eager" --nat r1 --monitor r0
		next
		killed_at "$name" "$number" "$SHUNT" upgrade || true
		# whichever version is loaded now
		shunt unload || {
			install_version "$first"
			shunt unload
		}
		[ ! -e "$PIN_DIR" ]
		next
	done <<<"$points"
}

@test "upgrade: every call of bpf() that fails: what is loaded goes on" {
	local name number points result

	need strace
	start_little_traffic
	while read -r name number; do
		[ "$name" = bpf ] || continue
		install_version "$first"
		shunt upgrade
		next
		result=0
		strace -qq -o /dev/null -e trace=bpf -e inject="bpf:error=ENOMEM:when=$number" \
			"$SHUNT" upgrade 3>&- || result=$?
		echo "failed at $name $number: $result"
		[ "$result" = 0 ] || install_version "$first"
		of_version
		traffic_flows
	done <<<"$points"
	end_traffic
}
