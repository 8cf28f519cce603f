#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Sockets that must not be paired are not, and bytes stay on their own connection.

load ../lib/common

setup()
{
	load_eager
	sysctl -qw net.ipv4.tcp_fastopen=3
	ip tcp_metrics flush all # Fast Open's cookies
}

teardown()
{
	clean_up
}

# pairs NUMBER KIND: a connection of this KIND makes NUMBER pairs
pairs()
{
	local result=0

	spawn pair peer pair "$2"
	said pair ready || {
		reap pair || result=$?
		[ $result != 77 ] || skip "$(cat "$BATS_TEST_TMPDIR/pair.err")"
		return 1
	}
	[ "$(status bypass.pairs)" = "$1" ]
	[ "$(map_entries shunt_socks)" = $(($1 * 2)) ]
	tell pair
	reap pair
}

# No pair, nothing redirected, nothing left.
stays_plain()
{
	pairs 0 "$1"
	[ "$(status bypass.redirected_bytes)" = 0 ]
	[ "$(status bypass.promoted)" = 0 ]
	wait_for maps_empty
}

@test "bypass: control: a plain connection is paired" {
	pairs 1 plain
	grew bypass.redirected_bytes 0 1
}

@test "bypass: a plain client of an MPTCP listener is not paired" {
	stays_plain mptcp-listener
}

@test "bypass: an MPTCP client of a plain listener is not paired" {
	stays_plain mptcp-client
}

@test "bypass: MPTCP on both sides is not paired" {
	stays_plain mptcp
}

@test "bypass: TCP Fast Open with data in the SYN is not paired" {
	spawn cookie peer pair fast-open
	said cookie ready || skip "$(cat "$BATS_TEST_TMPDIR/cookie.err")"
	tell cookie
	reap cookie
	# the first connection fetched the cookie, and was an ordinary one
	[ "$(status bypass.pairs)" = 0 ]
	[ "$(status bypass.redirected_bytes)" = 0 ]
	wait_for maps_empty
}

@test "bypass: a connection by SYN cookie is not paired" {
	sysctl -qw net.ipv4.tcp_syncookies=2 || skip "no syncookies in this kernel"
	stays_plain plain
}

@test "bypass: a socket with kTLS stays on TCP" {
	local result=0

	spawn pair peer pair tls
	said pair ready || {
		reap pair || result=$?
		[ $result != 77 ] || skip "$(cat "$BATS_TEST_TMPDIR/pair.err")"
		return 1
	}
	[ "$(status bypass.redirected_bytes)" = 0 ]
	tell pair
	reap pair
	wait_for maps_empty
}

# serve_echo and ask: an echo server and a client, each run by the words given.
serve_echo()
{
	need socat
	spawn server "$@" socat -T 20 TCP4-LISTEN:5004 EXEC:cat
	wait_for listens 5004
}

ask()
{
	echo hello | "$@" socat -T 20 -t 5 - TCP4:127.0.0.1:5004 | grep -qx hello
}

outside()
{
	"$@" 3>&-
}

@test "bypass: a client outside the cgroup is not paired" {
	serve_echo in_cgroup
	ask outside
	[ "$(status bypass.promoted)" = 0 ]
	[ "$(status bypass.redirected_bytes)" = 0 ]
	wait_for maps_empty
}

@test "bypass: a server outside the cgroup is not paired" {
	serve_echo outside
	ask in_cgroup
	[ "$(status bypass.redirected_bytes)" = 0 ]
	wait_for no_sockets
}

@test "bypass: both ends outside the cgroup are not paired" {
	serve_echo outside
	ask outside
	[ "$(status bypass.promoted)" = 0 ]
	wait_for maps_empty
}

@test "bypass: two network namespaces with the same four-tuple don't get each other's bytes" {
	netns one
	netns two
	spawn tuple peer tuple "${one_file:?}" "${two_file:?}"
	said tuple ready
	[ "$(status bypass.pairs)" = 2 ]
	[ "$(status bypass.redirected_bytes)" = $((16 * 4 * 4096)) ]
	tell tuple
	reap tuple
	wait_for maps_empty
}

@test "bypass: a socket that disconnects and connects again gets no bytes of its old connection" {
	load_eager
	peer reconnect
	wait_for maps_empty
}
