#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Admission 'proven': which connections are promoted, which never are, and which leave the
# fast path. proven.bash has the setup.

load ../lib/proven

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
