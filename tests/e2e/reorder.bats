#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Bytes that went by TCP and wait to be read must never be overtaken by later bytes on
# the fast path. peers/reorder.c describes each scenario. Each also runs without the
# sequence rule in the verdict (I1): it has to reorder then, or it would test nothing.

load ../lib/common

UNORDERED=$PEERS/shunt-unordered

setup_file()
{
	[ "$UNORDERED" -nt "$SHUNT" ] || ! command -v clang >/dev/null ||
		"$PROJECT/tests/unordered" "$UNORDERED" >"$BATS_FILE_TMPDIR/make" 2>&1 ||
		cat "$BATS_FILE_TMPDIR/make" >&2
}

setup()
{
	mkdir -p "$CGROUP"
	sysctl -qw net.ipv4.tcp_fastopen=3
	ip tcp_metrics flush all # Fast Open's cookies
}

teardown()
{
	clean_up
}

# Scenarios with sockets that are older than shunt.
start_older()
{
	spawn reorder peer reorder older
	said reorder ready
	load_eager
	no_sockets
	tell reorder
}

# Scenarios that shunt does not pair: the SYN carried data.
start_fast_open()
{
	load_eager
	fetch_cookie
	spawn reorder peer reorder fast-open
	said reorder ready
	no_sockets
	tell reorder
}

fetch_cookie()
{
	spawn cookie peer pair fast-open
	said cookie ready || true
	tell cookie
	reap cookie || true
	wait_for maps_empty
}

start()
{
	case $1 in
	older) start_older ;;
	fast-open) start_fast_open ;;
	*) load_eager && spawn reorder peer reorder "$1" ;;
	esac
}

# play SCENARIO: runs the peer, and returns its result
play()
{
	local result=0

	start "$1"
	reap reorder 2>"$BATS_TEST_TMPDIR/why" || result=$?
	cat "$BATS_TEST_TMPDIR/why" >&2
	[ $result != 77 ] || skip "$(cat "$BATS_TEST_TMPDIR/why")"
	return $result
}

# The peer's A bytes go by TCP; its B bytes, too, for the A bytes are unread; its C bytes
# take the fast path again.
in_order()
{
	play "$1"
	grew bypass.passed_bytes 0 4096
	grew bypass.redirected_bytes 0 4096
}

reorders_without_rule()
{
	local result=0

	[ "$UNORDERED" -nt "$SHUNT" ] || command -v clang >/dev/null ||
		skip "no clang to build shunt without the sequence rule"
	[ "$UNORDERED" -nt "$SHUNT" ]
	SHUNT=$UNORDERED
	# shellcheck disable=SC2034 # common.bash loads with them
	LOAD_OPTIONS=--force # the self-tests would refuse this shunt
	play "$1" || result=$?
	[ $result = 1 ]
	grep -q "reordered: 'B' came where 'A' was due" "$BATS_TEST_TMPDIR/why"
}

@test "bypass: peer inserted late: in order" {
	in_order late
}

@test "bypass: peer inserted late: reorders without the sequence rule" {
	reorders_without_rule late
}

@test "bypass: sockets older than the insertion: in order" {
	in_order older
}

@test "bypass: sockets older than the insertion: reorders without the sequence rule" {
	reorders_without_rule older
}

@test "bypass: blocking send issued in SYN_SENT: in order" {
	in_order syn-sent
}

@test "bypass: blocking send issued in SYN_SENT: reorders without the sequence rule" {
	reorders_without_rule syn-sent
}

@test "bypass: TCP Fast Open, data in the SYN: in order" {
	in_order fast-open
}

@test "bypass: TCP Fast Open, data in the SYN: reorders without the sequence rule" {
	reorders_without_rule fast-open
}

@test "bypass: TCP Fast Open, no cookie yet: in order" {
	in_order fast-open-cookie
}

@test "bypass: TCP Fast Open, no cookie yet: reorders without the sequence rule" {
	reorders_without_rule fast-open-cookie
}

@test "bypass: TCP_DEFER_ACCEPT: in order" {
	in_order defer-accept
}

@test "bypass: TCP_DEFER_ACCEPT: reorders without the sequence rule" {
	reorders_without_rule defer-accept
}

@test "bypass: peer deleted and re-added: in order" {
	in_order readded
}

@test "bypass: peer deleted and re-added: reorders without the sequence rule" {
	reorders_without_rule readded
}
