#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Admission 'proven': what programs can do on a connection that was promoted works as over
# TCP. peers/corner.c has the cases.

load ../lib/proven

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

# --- one end in an eager cgroup, the other one in a proven one ----------------------------

paired()
{
	[ "$(sockets | jq length)" = 1 ]
}

# mixed SERVER CLIENT: each end in a cgroup of that admission
mixed()
{
	local n
	# shellcheck disable=SC2034 # by their names
	local -a eager proven
	local -n server_in=$1 client_in=$2

	cgroup eager "$CGROUP/eager"
	cgroup proven "$CGROUP/proven"
	shunt load --cgroup "$CGROUP/eager=eager" --cgroup "$CGROUP/proven"
	supervise
	spawn server "${server_in[@]}" socat TCP-LISTEN:5001,bind=127.0.0.1,reuseaddr EXEC:cat
	wait_for listens 5001
	spawn client "${client_in[@]}" socat - TCP:127.0.0.1:5001
	wait_for paired
	for n in {1..8}; do
		tell client "line $n"
		said client "line $n"
	done
	[ "$(sockets | jq -r '.[0].admit')" = proven ]
	[ "$(status bypass.promoted)" = 0 ]
	no_members
	end_all
	wait_for maps_empty
}

@test "bypass: a server in an eager cgroup and a client in a proven one are a proven pair" {
	need socat
	mixed eager proven
}

@test "bypass: a client in an eager cgroup and a server in a proven one are a proven pair" {
	need socat
	mixed proven eager
}
