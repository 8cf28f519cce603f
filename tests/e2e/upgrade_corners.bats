#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# 'shunt upgrade' at times that do not suit it: after a kill, without a supervisor that works, and with
# interfaces or cgroups that are gone.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams
load ../lib/kills
load ../lib/versions

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
	own_version
}

# strays: programs that use a map of this shunt and are not pinned
strays()
{
	bpftool -jf prog show 3>&- | jq -c --argjson maps "$(own_maps)" '.[] |
		select(any(.map_ids[]?; IN($maps[])) and (.pinned | length) == 0) | [.id, .name]'
}

no_strays()
{
	[ -z "$(strays)" ]
}

@test "upgrade: kill -9 before the folders change their names, then load: former programs run" {
	shunt load --iface r0 --cgroup "$CGROUP=eager" --nat r1 --monitor r0
	next
	killed_at renameat2 1 "$SHUNT" upgrade
	install_version "$first"
	shunt load --max-bytes 1048576
	[ -z "$(find "$PIN_DIR" -name '*_next')" ]
	wait_for no_strays
}

# killed_after_exchange: a reader named stall holds bytes, and an upgrade to a bypass of another form is
# killed before the former bypass, which has the reader's socket, gets the name of one that lingers
killed_after_exchange()
{
	need strace
	shunt load --cgroup "$CGROUP=eager"
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
	next
	killed_at rename 2 "$SHUNT" upgrade
	[ -e "$PIN_DIR/bypass_next" ]
}

drained()
{
	tell stall
	said stall drained
	shunt unload
	[ ! -e "$PIN_DIR" ]
	tell stall
	reap stall
}

@test "upgrade: kill -9 after the folders have changed their names, then unload: the reader is named" {
	killed_after_exchange
	run -1 shunt unload --timeout 0
	[[ $output =~ 'holds '[1-9][0-9]*' bytes, process '[0-9]+' (stall)' ]]
	drained
}

# bypasses: how many there are, with a map of sockets each
bypasses()
{
	find "$PIN_DIR" -path '*/maps/shunt_socks' | wc -l
}

@test "upgrade: kill -9 after the folders have changed their names, then too few file descriptors" {
	local n status

	killed_after_exchange
	for n in {4..12}; do
		run timeout 20 bash -c 'for fd in {3..20}; do eval "exec $fd>&-"; done
			exec prlimit --nofile="$0" "$@"' "$n" "$SHUNT" upgrade
		echo "$n: $output"
		[ "$(bypasses)" = 2 ]
	done
	drained
}

@test "upgrade: shunt run is stopped (SIGSTOP): pairs go on, and are promoted once it goes on" {
	local version

	shunt load --cgroup "$CGROUP"
	supervise
	start_streams pairs 5000 8 -t 20000
	wait_for status_is bypass.promoted -gt 0
	for version in patched next; do
		kill -STOP "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
		$version
		shunt upgrade
		flows_on pairs 16
		kill -CONT "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
		wait_for runs_installed
		wait_for supervised
		wait_for status_is bypass.promoted -gt 0
		flows_on pairs 16
	done
	end_streams pairs 8
}

no_flows()
{
	[ "$(shunt -j nat flows | jq length)" = 0 ] && [ "$(map_entries shunt_nat_flows)" = 0 ]
}

# begin_flow: a datagram of the client begins a flow
begin_flow()
{
	"${client[@]}" bash -c 'echo hello >/dev/udp/172.16.240.9/7002' 3>&-
	[ "$(shunt -j nat flows | jq length)" = 1 ]
}

@test "upgrade: flows of NAT end after their idle time, whichever version began them" {
	shunt load --nat r1 --nat-idle opening=2
	shunt nat add udp dst 172.16.240.9 dport 7002 to 10.3.0.1
	begin_flow
	next
	shunt upgrade
	wait_for no_flows
	begin_flow
	install_version "$first"
	shunt upgrade
	wait_for no_flows
	begin_flow
	wait_for no_flows
	wait_for no_strays
}

all_attached()
{
	shunt -j status | jq -e '[.steer.ifaces, .bypass.cgroups, .nat.ifaces] | flatten | all(.attached)' >/dev/null
}

@test "upgrade: an interface and a cgroup are gone: both are attached again when they come back" {
	ip link add g0 type veth peer name g1
	mkdir "$CGROUP/gone"
	shunt load --iface r0 --iface g0 --cgroup "$CGROUP/gone" --nat g0 --monitor g0
	ip link del g0
	rmdir "$CGROUP/gone"
	next
	shunt upgrade
	supervise
	ip link add g0 type veth peer name g1
	mkdir "$CGROUP/gone"
	wait_for all_attached
	wait_for no_strays
	end_all
	shunt unload
	ip link del g0
	rmdir "$CGROUP/gone"
}

@test "upgrade: shunt run goes on although its file was renamed" {
	shunt load --iface r0 --cgroup "$CGROUP"
	supervise
	mv "$SHUNT" "$SHUNT.old"
	next
	run -0 shunt upgrade
	[[ $output != *warning* ]]
	runs_installed
	[ "$(status bypass.supervised)" = true ]
}

@test "upgrade: shunt run goes on although the next upgrade comes while it begins anew" {
	local i version=next

	shunt load --iface r0 --cgroup "$CGROUP"
	supervise
	for i in {1..12}; do
		if [ "$version" = first ]; then install_version "$first"; else next; fi
		[ "$version" = next ] && version=first || version=next
		rm -f "$BATS_TEST_TMPDIR"/upgrade.*
		spawn upgrade "$SHUNT" upgrade
		wait_for grep -q 'steering: runs the programs' "$BATS_TEST_TMPDIR/upgrade.err"
		# it waits for 'shunt run'
		kill -KILL "$(cat "$BATS_TEST_TMPDIR/upgrade.pid")" 2>/dev/null || true
		read -rt "0.0$i" -u "$silence" || true
	done
	wait_for runs_installed
	wait_for supervised
}

@test "upgrade: a shunt run of another file ends, and the upgrade says so" {
	shunt load --iface r0
	install "$first" "$BATS_TEST_TMPDIR/other"
	spawn supervisor "$BATS_TEST_TMPDIR/other" run
	wait_for grep -q ready "$BATS_TEST_TMPDIR/supervisor.err"
	next
	run -0 shunt upgrade
	[[ $output == *"'shunt run' does not serve steering any more; start that of version"* ]]
	wait_for ended supervisor
}
