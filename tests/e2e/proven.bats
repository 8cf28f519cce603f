#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Admission 'proven': which connections are promoted, which never are, which leave the fast
# path, and what happens without the supervisor.

load ../lib/common

CGROUP=$CGROUP_ROOT/proven

setup()
{
	mkdir -p "$CGROUP"
}

teardown()
{
	clean_up
	# cgroups of a test that failed
	find "$CGROUP" -mindepth 1 -type d -exec rmdir {} + 2>/dev/null || true
}

load_proven()
{
	shunt load --cgroup "$CGROUP" "$@"
}

# supervise_as NAME: supervise() under another name
supervise_as()
{
	spawn "$1" "$SHUNT" run
	wait_for supervised
}

unsupervised()
{
	! supervised
}

state_is()
{
	[ "$(sockets | jq -r '.[0].state')" = "$1" ]
}

# The reason that 'shunt sockets' gives for a pair matches.
why_is()
{
	sockets | jq -r '.[].why' | grep -q "$1"
}

# promotes STYLE: a reader of this style is promoted, and its messages are redirected.
promotes()
{
	spawn "$1" peer style "$1" 60
	wait_for state_is active
	wait_for status_is bypass.redirected_messages -gt 1000
	tell "$1"
	reap "$1"
	wait_for maps_empty
}

# never STYLE REASON: a reader of this style is ruled out for that reason.
never()
{
	spawn "$1" peer style "$1" 60
	wait_for why_is "$2"
	tell "$1"
	reap "$1"
	[ "$(status bypass.promoted)" = 0 ]
	[ "$(status bypass.redirected_messages)" = 0 ]
	wait_for maps_empty
}

@test "bypass: a non-blocking reader is promoted" {
	load_proven
	supervise
	promotes epoll
}

@test "bypass: a reader that peeks is promoted" {
	load_proven
	supervise
	promotes peek
}

@test "bypass: a blocking reader is never promoted" {
	load_proven
	supervise
	never blocking 'reader blocks'
}

@test "bypass: a blocking reader with a time-out is never promoted" {
	load_proven
	supervise
	never timeout 'reader blocks'
}

@test "bypass: a reader with MSG_WAITALL is never promoted" {
	load_proven
	[ -e /sys/kernel/tracing/events/sock/sock_recv_length ] ||
		skip "this kernel does not report the flags of receive calls (before 6.3)"
	supervise
	never waitall MSG_WAITALL
}

@test "bypass: a reader with SO_RCVLOWAT is never promoted" {
	load_proven
	supervise
	never lowat SO_RCVLOWAT
}

@test "bypass: a sender with a pacing rate is never promoted" {
	load_proven
	supervise
	never paced 'pacing rate'
}

@test "bypass: a reader that splices is never promoted" {
	load_proven
	supervise
	never splice splices
}

@test "bypass: readers that poll without waiting (recv MSG_DONTWAIT) are never promoted" {
	[ -e /sys/kernel/tracing/events/sock/sock_recv_length ] ||
		skip "this kernel does not report receive calls that get nothing (before 6.3)"
	load_proven
	supervise
	never polls 'polls without waiting'
}

@test "bypass: readers that begin to poll without waiting go back to TCP" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU: nobody waits for a lock"
	load_proven
	supervise
	spawn corner peer begins poll
	wait_for state_is active
	tell corner
	wait_for why_is 'polls without waiting'
	wait_for no_members
	tell corner
	reap corner
	wait_for maps_empty
}

@test "bypass: readers that poll without waiting go back to TCP, also in an eager cgroup" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU: nobody waits for a lock"
	shunt load --cgroup "$CGROUP=eager"
	supervise
	spawn polls peer style polls 60
	wait_for why_is 'polls without waiting'
	wait_for no_members
	tell polls
	reap polls
	wait_for maps_empty
}

@test "bypass: a reader that asks FIONREAD never stalls" {
	load_proven
	supervise
	spawn fionread peer style fionread 3
	reap fionread
	wait_for maps_empty
}

@test "bypass: a reader that receives and then splices gets no wrong bytes" {
	grep -qw bpf_sock_destroy /proc/kallsyms || skip "this kernel can't end it (before 6.5)"
	load_proven
	supervise
	spawn late peer style late 8
	wait_for state_is active
	reap late || grep -q 'Software caused connection abort' "$BATS_TEST_TMPDIR/late.err"
	if grep 'wrong bytes' "$BATS_TEST_TMPDIR/late.err"; then
		return 1
	fi
	wait_for maps_empty
}

@test "bypass: a stream of small messages leaves the fast path, or is never promoted" {
	load_proven
	supervise
	spawn stream peer style stream 60
	wait_for why_is 'stream without answers'
	tell stream
	reap stream
	wait_for maps_empty
}

@test "bypass: sockets says when only the server of a connection is in a cgroup of shunt" {
	load_proven
	spawn pair peer pair one-way
	said pair ready
	[ "$(sockets | jq length)" = 1 ]
	state_is plain
	why_is 'one way so far'
	tell pair
	reap pair
	wait_for no_sockets
}

@test "bypass: sockets names the process that keeps a pair off the fast path" {
	load_proven
	supervise
	spawn blocking peer style blocking 60
	wait_for why_is 'the reader blocks'
	[ "$(sockets | jq -c '.[0] | [.end, .client_process.name, .server_process.name]')" = \
		'["client","style","style"]' ]
	shunt sockets | grep -q 'the reader blocks (client: style, pid [0-9]*)$'
	tell blocking
	reap blocking
}

# corner CASE: a case of peers/corner.c goes as over TCP on a pair that was promoted
corner()
{
	local before

	before=$(status bypass.redirected_messages)
	spawn "$1" peer corner "$1"
	wait_for state_is active
	wait_for status_is bypass.redirected_messages -gt $((before + 1000))
	tell "$1"
	reap "$1"
	wait_for maps_empty
}

@test "bypass: a stream of small messages leaves the fast path, also in an eager cgroup" {
	shunt load --cgroup "$CGROUP=eager"
	supervise
	spawn stream peer style stream 60
	wait_for why_is 'stream'
	wait_for state_is plain
	[ "$(sockets | jq -r '.[0].admit')" = proven ]
	wait_for status_is bypass.demoted -gt 0
	before=$(status bypass.redirected_messages)
	[ "$before" -gt 0 ]
	tell stream
	reap stream
	[ "$(status bypass.redirected_messages)" = "$before" ]
	wait_for maps_empty
}

@test "bypass: request and response in an eager cgroup stay on the fast path" {
	shunt load --cgroup "$CGROUP=eager"
	supervise
	spawn turns peer style blocking 60
	wait_for status_is bypass.redirected_messages -gt 20000
	state_is active
	[ "$(status bypass.demoted)" = 0 ]
	tell turns
	reap turns
	wait_for maps_empty
}

@test "bypass: TCP_CORK, SO_PEEK_OFF and TCP_INQ work as over TCP" {
	load_proven
	supervise
	corner cork
	corner peek
	corner inq
}

@test "bypass: a burst of messages without an answer arrives at once" {
	load_proven
	supervise
	corner burst
}

@test "bypass: a reader that takes a short read and POLLHUP for the end gets all bytes" {
	load_proven
	supervise
	corner hangup
}

@test "bypass: an answer larger than all before goes by TCP, so it may be spliced" {
	load_proven
	supervise
	corner grow
}

@test "bypass: MSG_OOB: the last byte of a longer message is urgent" {
	load_proven
	supervise
	corner urgent
}

@test "bypass: MSG_OOB: sent by a 32-bit program" {
	load_proven
	supervise
	corner urgent32
}

no_members()
{
	[ "$(map_entries shunt_socks)" = 0 ]
}

scans()
{
	bpftool -j map dump pinned "$PIN_DIR/bypass/maps/shunt_conf" 3>&- | jq '.[0].formatted.value.run.scan_seq'
}

scans_reached()
{
	[ "$(scans)" -ge "$1" ]
}

# stalls CASE: redirected bytes wait for a reader while the supervisor makes its scans
stalls()
{
	spawn "$1" peer corner "$1"
	wait_for state_is active
	tell "$1"
	said "$1" sent
	wait_for state_is leaving
	wait_for scans_reached $(($(scans) + 60))
	tell "$1"
	reap "$1"
}

@test "bypass: a reader that stalled, and takes a short read and POLLHUP for the end, gets all bytes" {
	load_proven
	supervise
	stalls stall
	wait_for maps_empty
}

@test "bypass: a reader that stalled, and then splices, gets the bytes in order" {
	load_proven
	supervise
	stalls late-splice
	wait_for maps_empty
}

@test "bypass: bytes that wait for a reader that splices are bounded" {
	load_proven
	supervise
	corner hoard
}

@test "bypass: a reader that blocks for a while, and then splices, gets the bytes in order" {
	load_proven
	supervise
	corner block-splice
}

@test "bypass: a socket of the fast path that is made a listener holds nothing up" {
	load_proven
	supervise
	spawn corner peer corner listen
	wait_for state_is active
	tell corner
	said corner listens
	unload
	tell corner
	reap corner
}

@test "bypass: a socket that was reset returns EPIPE, as over TCP" {
	load_proven
	supervise
	corner reset
}

@test "bypass: a socket that was disconnected has no bytes of its old connection" {
	load_proven
	supervise
	spawn corner peer corner forget
	wait_for state_is active
	tell corner
	said corner disconnected
	wait_for maps_empty
	tell corner
	reap corner
}

@test "bypass: a stream to an end that has shut down its sending side leaves the fast path" {
	load_proven
	supervise
	spawn corner peer corner half
	wait_for state_is active
	tell corner
	wait_for status_is bypass.demoted -gt 0
	[ "$(map_entries shunt_socks)" = 0 ]
	tell corner
	reap corner
}

# bytes_of NUMBER: prints the bytes of a number of 32 bits, the lowest first
bytes_of()
{
	printf '%x %x %x %x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24))
}

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

@test "bypass: an accepted socket that disconnects and connects elsewhere" {
	load_proven
	supervise
	spawn corner peer corner reconnect
	wait_for state_is active
	[ "$(sockets | jq length)" = 1 ]
	tell corner
	reap corner
	wait_for maps_empty
}

# shellcheck disable=SC2046 # the bytes are words
@test "bypass: a process that splices on one connection leaves the fast path with all" {
	load_proven
	supervise
	spawn corner peer corner splice
	wait_for state_is active
	# a splice long ago counts, too
	bpftool map update pinned "$PIN_DIR/bypass/maps/shunt_splicers" key hex $(bytes_of "$(pgrep -x corner)") \
		value hex 1 0 0 0 0 0 0 0 3>&-
	tell corner
	wait_for why_is 'spliced recently'
	tell corner
	reap corner
	wait_for maps_empty
}

@test "bypass: a reader that lets TCP bytes wait for a tenth of a second stays on the fast path" {
	load_proven
	supervise
	spawn batches peer batches 20 1000 100
	wait_for state_is active
	tell batches
	said batches 'done'
	[ "$(status bypass.demoted)" = 0 ]
	state_is active
	tell batches
	reap batches
	wait_for maps_empty
}

@test "bypass: a reader that leaves TCP bytes unread for seconds leaves the fast path" {
	load_proven
	supervise
	spawn batches peer batches 1 1000 4000
	wait_for state_is active
	tell batches
	wait_for why_is 'stayed unread'
	said batches 'done'
	tell batches
	reap batches
	wait_for maps_empty
}

# in_part NAME COMMAND...: runs the command in a cgroup below that of the test
in_part()
{
	mkdir -p "$CGROUP/$1"
	CGROUP=$CGROUP/$1 "${@:2}"
}

# takes_all TURNS: idle connections of one user, after TURNS turns each, fill the table of
# pairs; another user's pair is promoted all the same.
takes_all()
{
	local user

	[ "$(ulimit -Hn)" -ge 17100 ] || skip "a process may not open 17,100 files (ulimit -Hn)"
	load_proven
	supervise
	for user in first second; do
		spawn "$user" in_part one peer many 8500
	done
	# 1,700,000 round trips take a minute on a busy machine
	# shellcheck disable=SC2034 # common.bash waits for so long
	PATIENCE=240
	for user in first second; do
		said "$user" open
		tell "$user" touch "$1"
		said "$user" touched
	done
	wait_for status_is bypass.entries = 16383
	spawn epoll in_part two peer style epoll 120
	wait_for status_is bypass.redirected_messages -gt $(($(status bypass.redirected_messages) + 1000))
	sockets | jq -e 'any(.[]; .state == "active" and .server_process.name == "style")' >/dev/null
	status_is bypass.reclaimed -gt 0
	tell epoll
	reap epoll
	end_all
	wait_for remove_parts
}

remove_parts()
{
	rmdir "$CGROUP"/*/
}

@test "bypass: idle connections of one user, watched once, leave room for those of another" {
	takes_all 20
}

@test "bypass: idle connections of one user on the fast path leave room for those of another" {
	takes_all 100
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

@test "bypass: clean receive calls are counted over several watch periods" {
	load_proven
	supervise
	spawn slow peer style slow 60
	wait_for state_is active
	wait_for status_is bypass.redirected_messages -gt 0
	# counting over several watch periods ends with the promotion
	kill "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	reap supervisor
	why_is 'left the fast path'
	tell slow
	reap slow
	wait_for maps_empty
}

@test "bypass: a socket that connects again while it is watched is promoted" {
	load_proven
	supervise
	spawn again peer style again 60
	wait_for state_is watched
	tell again
	wait_for status_is bypass.promoted -gt 0
	tell again
	reap again
	wait_for maps_empty
}

@test "bypass: --exclude: port, prefix and process" {
	for what in port:1-65535 127.0.0.0/8; do
		load_proven --exclude "$what"
		supervise_as "by-${what%%[:.]*}"
		spawn "style-${what%%[:.]*}" peer style epoll 1
		reap "style-${what%%[:.]*}"
		[ "$(status bypass.promoted)" = 0 ]
		unload
	done
	load_proven --exclude process:style
	supervise
	never epoll excluded
}

@test "bypass: --exclude: a process that changes its name while it is watched" {
	load_proven --exclude process:renamed
	supervise
	never renamed excluded
}

@test "bypass: --exclude: a process, with the supervisor in another pid namespace" {
	load_proven --exclude process:style
	[ -e /sys/fs/bpf/shunt/bypass/progs/shunt_scan ] ||
		skip "this kernel refuses map iterators, so a supervisor sees only its own PID namespace"
	# its first child is the first process of the namespace
	spawn supervisor unshare --pid --mount sh -c '
		sh -c "mount -t proc proc /proc && exec \"\$0\" run" "$0" &
		trap "kill -9 $!" TERM
		wait' "$SHUNT"
	wait_for supervised
	never epoll excluded
}

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
