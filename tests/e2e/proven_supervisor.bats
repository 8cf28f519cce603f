#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Admission 'proven': the supervisor ends, stands still and comes back; connections that are
# older than the load, the supervisor or the cgroup are adopted.

load ../lib/proven

@test "bypass: no supervisor: nothing is promoted, status says so" {
	load_proven
	peer style epoll 1
	[ "$(status bypass.promoted)" = 0 ]
	shunt status | grep -q 'NO SUPERVISOR'
}

@test "bypass: kill -9 of the supervisor: traffic goes on, a new one takes over" {
	load_proven
	supervise
	spawn epoll peer style epoll 60
	wait_for state_is active
	kill -9 "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for unsupervised
	wait_for status_is bypass.passed_messages -gt 10000
	supervise_as second
	before=$(status bypass.redirected_messages)
	wait_for status_is bypass.redirected_messages -gt $((before + 1000))
	state_is active
	kill "$(cat "$BATS_TEST_TMPDIR/second.pid")"
	reap second
	state_is plain
	tell epoll
	reap epoll
	wait_for maps_empty
}

# A reader that receives redirected bytes on a pair that has a supervisor
is_bypassed()
{
	wait_for state_is active
	wait_for status_is bypass.redirected_messages -gt 1000
}

@test "bypass: kill -9 of the supervisor: a reader that begins to splice does not hang" {
	load_proven
	supervise
	spawn corner peer begins splice
	is_bypassed
	kill -9 "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for why_is 'no heartbeat'
	[ "$(status bypass.supervisor)" = none ]
	tell corner
	reap corner
}

@test "bypass: SIGSTOP of the supervisor: status says so, a reader that begins to splice does not hang" {
	load_proven
	supervise
	spawn corner peer begins splice
	is_bypassed
	kill -STOP "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for unsupervised
	[ "$(status bypass.supervisor)" = 'no heartbeat' ]
	shunt status | grep -q 'THE SUPERVISOR IS STOPPED'
	why_is 'no heartbeat'
	tell corner
	reap corner
	kill -CONT "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for supervised
	wait_for maps_empty
}

@test "bypass: SIGCONT of the supervisor: bytes are redirected again" {
	load_proven
	supervise
	spawn epoll peer style epoll 60
	is_bypassed
	kill -STOP "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for why_is 'no heartbeat'
	before=$(status bypass.passed_messages)
	wait_for status_is bypass.passed_messages -gt $((before + 1000))
	kill -CONT "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for supervised
	before=$(status bypass.redirected_messages)
	wait_for status_is bypass.redirected_messages -gt $((before + 1000))
	tell epoll
	reap epoll
	wait_for maps_empty
}

@test "bypass: an eager cgroup redirects without a supervisor" {
	shunt load --cgroup "$CGROUP=eager"
	spawn turns peer style blocking 60
	wait_for status_is bypass.redirected_messages -gt 10000
	tell turns
	reap turns
}

@test "bypass: a second supervisor is refused" {
	load_proven
	supervise
	run shunt run
	[ "$status" = 1 ]
	[[ $output == *"running already"* ]]
}

@test "bypass: unload ends the supervisor" {
	load_proven
	supervise
	unload
	reap supervisor
}

@test "bypass: unload while pairs are active loses nothing" {
	load_proven
	supervise
	spawn epoll peer style epoll 60
	wait_for state_is active
	unload
	tell epoll
	reap epoll
}

# 20 connections that take turns of 100,000 bytes both ways, every byte checked,
# while the supervisor is killed and replaced and shunt is reloaded.
@test "bypass: streams stay whole while the supervisor is killed and shunt reloaded" {
	local i

	load_proven
	supervise_as first
	spawn server peer stream server 127.0.0.1 6200 -n 20 -t 100000
	said server ready
	spawn client peer stream client 127.0.0.1 6200 -n 20 -t 100000
	said client ready
	for i in 1 2 3; do
		wait_for status_is bypass.active_pairs -gt 0
		kill -9 "$(cat "$BATS_TEST_TMPDIR/$([ "$i" = 1 ] && echo first || echo s$((i - 1))).pid")"
		wait_for unsupervised
		if [ "$i" = 2 ]; then unload && load_proven; fi
		supervise_as "s$i"
	done
	wait_for status_is bypass.redirected_messages -gt 1000
	tell client stop
	reap client
	reap server
	wait_for maps_empty
}

# --- adoption ------------------------------------------------------------------

@test "bypass: a supervisor that starts between the first requests; the server has the higher port" {
	load_proven
	spawn corner peer corner adopt
	said corner once
	supervise
	tell corner
	wait_for state_is active
	tell corner
	reap corner
	wait_for maps_empty
}

attached_to_cgroup()
{
	[ "$(status 'bypass.cgroups[0].attached')" = "$1" ]
}

@test "bypass: a systemd slice that is restarted: the new cgroup is attached again" {
	load_proven
	supervise
	attached_to_cgroup true
	rmdir "$CGROUP"
	wait_for attached_to_cgroup false
	[ "$(status 'bypass.cgroups[0].removed')" = true ]
	shunt status | grep -q 'REMOVED: the supervisor attaches'
	mkdir "$CGROUP"
	wait_for attached_to_cgroup true
	[ "$(status 'bypass.cgroups[0].removed')" = false ]
	promotes epoll
}

@test "bypass: a systemd slice that is restarted: connections made before that are adopted" {
	load_proven
	supervise
	# a process in the cgroup from the start, as with systemd
	rmdir "$CGROUP"
	mkdir "$CGROUP"
	spawn epoll peer style epoll 60
	wait_for state_is active
	tell epoll
	reap epoll
	wait_for maps_empty
}

@test "bypass: a cgroup whose program somebody detached is left alone" {
	load_proven
	supervise
	attached_to_cgroup true
	wait_for scans_reached $(($(scans) + 30))
	bpftool link detach pinned "$PIN_DIR/bypass/links/attached_0" 3>&-
	attached_to_cgroup false
	wait_for scans_reached $(($(scans) + 30))
	attached_to_cgroup false
	shunt status | grep -q 'NOT ATTACHED'
}

@test "bypass: a connection older than the load is adopted" {
	spawn epoll peer style epoll 60
	wait_for no_handshake_left
	load_proven
	supervise
	wait_for state_is active
	tell epoll
	reap epoll
}

@test "bypass: a connection older than the load is adopted, if only a thread is in its namespace" {
	spawn corner peer corner thread
	said corner hot
	load_proven
	supervise
	wait_for state_is active
	tell corner
	reap corner
}

no_handshake_left()
{
	[ -n "$(ss -Htn state established)" ]
}
