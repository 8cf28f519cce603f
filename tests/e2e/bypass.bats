#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Real traffic takes the fast path, unharmed, and leaves nothing behind.

load ../lib/common

setup()
{
	load_eager
}

teardown()
{
	clean_up
}

MIB=$((1 << 20))
server_at=()
client_at=()

# --- socat: the same bytes ---------------------------------------------------

# transfer LISTEN-ADDRESS CONNECT-ADDRESS: sends a file to an echo server and compares what
# comes back
transfer()
{
	local file back=$BATS_TEST_TMPDIR/back

	need socat
	file=$(big 16)
	spawn server in_cgroup "${server_at[@]}" socat -T 20 -t 20 "$1" EXEC:cat
	wait_for listens 5001 "${server_at[@]}"
	in_cgroup "${client_at[@]}" socat -T 20 -t 20 - "$2" <"$file" >"$back"
	reap server
	same_bytes "$file" "$back"
}

# The same, and at least a part of the bytes was redirected.
bypassed_transfer()
{
	local before

	before=$(status bypass.redirected_bytes)
	transfer "$@"
	grew bypass.redirected_bytes "$before" $MIB
	[ "$(status bypass.promoted)" = 1 ]
	wait_for maps_empty
}

use_netns_pair()
{
	netns_pair
	server_at=("${right[@]}")
	client_at=("${left[@]}")
}

@test "bypass: socat: IPv4, one namespace" {
	bypassed_transfer TCP4-LISTEN:5001,bind=127.0.0.1 TCP4:127.0.0.1:5001
}

@test "bypass: socat: IPv6, one namespace" {
	bypassed_transfer 'TCP6-LISTEN:5001,bind=[::1]' 'TCP6:[::1]:5001'
}

@test "bypass: socat: IPv4 client of an IPv6 listener, one namespace" {
	bypassed_transfer TCP6-LISTEN:5001,ipv6only=0 TCP4:127.0.0.1:5001
}

@test "bypass: socat: v4-mapped client of an IPv4 listener, one namespace" {
	bypassed_transfer TCP4-LISTEN:5001 'TCP6:[::ffff:127.0.0.1]:5001'
}

@test "bypass: socat: IPv4 between namespaces" {
	use_netns_pair
	bypassed_transfer TCP4-LISTEN:5001 TCP4:10.77.0.2:5001
}

@test "bypass: socat: IPv6 between namespaces" {
	use_netns_pair
	bypassed_transfer TCP6-LISTEN:5001 'TCP6:[fd77::2]:5001'
}

@test "bypass: socat: IPv4 client of an IPv6 listener between namespaces" {
	use_netns_pair
	bypassed_transfer TCP6-LISTEN:5001,ipv6only=0 TCP4:10.77.0.2:5001
}

# --- iperf3 ------------------------------------------------------------------

# measure ADDRESS [OPTION...]: runs iperf3. iperf3 stops counting received bytes as soon
# as a sender says that it has finished, also without shunt: with --bidir many bytes may
# be missing from its count. The other tests show that no byte is lost.
measure()
{
	local redirected passed bytes report=$BATS_TEST_TMPDIR/iperf

	need iperf3
	redirected=$(status bypass.redirected_bytes)
	passed=$(status bypass.passed_bytes)
	spawn server in_cgroup "${server_at[@]}" iperf3 -s -1
	wait_for listens 5201 "${server_at[@]}"
	in_cgroup "${client_at[@]}" timeout 60 iperf3 -c "$1" -n 64M -P 2 -J "${@:2}" >"$report"
	reap server
	bytes=$(jq .end.sum_received.bytes "$report")
	[ "$bytes" -ge $MIB ]
	redirected=$(($(status bypass.redirected_bytes) - redirected))
	passed=$(($(status bypass.passed_bytes) - passed))
	echo "received $bytes, redirected $redirected, passed $passed"
	[ "$redirected" -ge $MIB ]
	[ $((redirected + passed)) -ge "$bytes" ]
	wait_for maps_empty
}

@test "bypass: iperf3: IPv4, one namespace" {
	measure 127.0.0.1
}

@test "bypass: iperf3: IPv6, one namespace, reverse" {
	measure ::1 -R
}

@test "bypass: iperf3: IPv4 between namespaces" {
	use_netns_pair
	measure 10.77.0.2
}

@test "bypass: iperf3: IPv6 between namespaces, both ways" {
	use_netns_pair
	measure fd77::2 --bidir
}

# --- many connections, every byte in its place -------------------------------

# streams ADDRESS COUNT [OPTION...]
streams()
{
	local before

	before=$(status bypass.redirected_bytes)
	spawn server peer stream server "$1" 5000 -n "$2" -s $((2 * MIB)) "${@:3}"
	said server ready
	spawn client peer stream client "$1" 5000 -n "$2" -s $((2 * MIB)) "${@:3}"
	reap client
	reap server
	diff <(output_of client | grep '^[0-9]') <(output_of server | grep '^[0-9]')
	[ "$(output_of client | grep -c '^[0-9]')" = "$2" ]
	grew bypass.redirected_bytes "$before" 65536
	wait_for maps_empty
}

@test "bypass: 100 connections stream both ways, epoll, IPv4" {
	streams 127.0.0.1 100
}

@test "bypass: 100 connections stream both ways, epoll, IPv6" {
	streams ::1 100
}

@test "bypass: 25 connections stream both ways, blocking threads, v4-mapped" {
	streams ::ffff:127.0.0.1 25 -b
}

# --- what can be seen --------------------------------------------------------

@test "bypass: sockets shows the pair and status counts it" {
	spawn pair peer pair plain
	said pair ready
	[ "$(status bypass.pairs)" = 1 ]
	[ "$(sockets | jq length)" = 1 ]
	[ "$(sockets | jq -r '.[0].state')" = active ]
	[ "$(sockets | jq '.[0].to_server.redirected_bytes')" = 16384 ]
	[ "$(sockets | jq '.[0].to_client.redirected_bytes')" = 16384 ]
	[ "$(status bypass.queued_bytes)" = 0 ]
	tell pair
	reap pair
	wait_for maps_empty
	[ "$(status bypass.pairs)" = 0 ]
}

@test "bypass: sockets shows an end that has closed, with all its fields" {
	spawn pair peer pair closed
	said pair ready
	[ "$(sockets | jq -c '.[0] | [.to_server | .why, .redirected_bytes, .queued_bytes]')" = \
		'["closed",0,4096]' ]
	[ "$(sockets | jq -c '.[0] | (.to_server | keys) == (.to_client | keys)')" = true ]
	tell pair
	reap pair
	wait_for maps_empty
}

# traces LISTEN-ADDRESS CONNECT-ADDRESS HOST: there is a trace line for each direction.
# HOST is a regular expression for the address in it.
traces()
{
	need socat
	shunt trace on
	spawn server in_cgroup socat "$1" PIPE
	wait_for listens 5002
	echo hello | in_cgroup socat -t 5 - "$2" | grep -qx hello
	traced "shunt: pair $3:[0-9]+ <-> $3:5002 op=active"
	traced "shunt: pair $3:5002 <-> $3:[0-9]+ op=passive"
	traced "shunt: bypass $3:[0-9]+ -> $3:5002 bytes=6\$"
	traced "shunt: bypass $3:5002 -> $3:[0-9]+ bytes=6\$"
	shunt trace off
}

@test "bypass: trace shows pair and bypass lines in both directions, IPv4" {
	traces TCP4-LISTEN:5002 TCP4:127.0.0.1:5002 '127\.0\.0\.1'
}

@test "bypass: trace shows pair and bypass lines in both directions, IPv6" {
	traces TCP6-LISTEN:5002 'TCP6:[::1]:5002' '\[[0:]*1\]'
}

@test "bypass: no trace lines when trace is off" {
	spawn server in_cgroup socat TCP4-LISTEN:5003 PIPE
	wait_for listens 5003
	echo hello | in_cgroup socat -t 5 - TCP4:127.0.0.1:5003 | grep -qx hello
	run traced ':5003'
	[ "$status" = 1 ]
}

# --- ends --------------------------------------------------------------------

# ends HOW COUNT FACTOR: COUNT connections of FACTOR times 64 KiB, all redirected, end HOW
ends()
{
	local before

	before=$(status bypass.redirected_bytes)
	peer closing "$1" "$2"
	grew bypass.redirected_bytes "$before" $(($2 * $3 * 65536))
	wait_for maps_empty
}

@test "bypass: half-close: the client first" {
	ends half-client 20 2
}

@test "bypass: half-close: the server first" {
	ends half-server 20 2
}

@test "bypass: close right after send" {
	ends hasty 100 1
}

@test "bypass: data and close before the server accepts" {
	ends unaccepted 100 1
}

@test "bypass: the sending process ends: all bytes arrive" {
	ends exit 20 1
}

@test "bypass: a socket that disconnects and connects again" {
	spawn pair peer pair disconnected
	said pair ready
	tell pair
	reap pair
	wait_for maps_empty
}

# --- room --------------------------------------------------------------------

@test "bypass: when the map of sockets is full: plain TCP, and a counter" {
	local before

	spawn fill "$PEERS/fill"
	said fill full
	before=$(status bypass.map_full)
	spawn pair peer pair plain
	said pair ready
	no_sockets
	[ "$(status bypass.redirected_bytes)" = 0 ]
	grew bypass.map_full "$before" 1
	tell fill
	reap fill
	tell pair
	reap pair
	wait_for maps_empty

	spawn again peer pair plain
	said again ready
	[ "$(status bypass.redirected_bytes)" -gt 0 ]
}

@test "bypass: urgent data stays urgent" {
	load_eager
	peer urgent
	wait_for maps_empty
}

@test "bypass: messages that are sent while the fast path ends arrive whole" {
	load_eager
	peer leaving "$PIN_DIR/bypass/maps/shunt_conf"
	grew bypass.redirected_bytes 0 7
	grew bypass.passed_bytes 0 9
	wait_for maps_empty
}
