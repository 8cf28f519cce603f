#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A router's own connections that match a rule with 'origin local' are not steered back to
# it, even if its listener was made in another cgroup: by systemd for a socket unit, or
# before the router moved. peers/relay.c is the router; it connects to its clients'
# original destination.

load ../lib/steer

setup()
{
	find_hosts
	mkdir -p "$CGROUP_ROOT/router"
	cgroup maker "$CGROUP_ROOT/maker"
	# shellcheck disable=SC2034 # for ask
	asking=router
	load_steer r1
}

# start_relay [OPTION]...: starts the router for the family at hand
start_relay()
{
	translate 127.0.0.1
	spawn "relay$family" "${maker[@]}" "$PEERS/relay" "$@" "$CGROUP_ROOT/router" "${words[0]}" 9001
	said "relay$family" ready
}

# accepted: prints how many connections the router of this family has accepted
accepted()
{
	grep -c accepted "$BATS_TEST_TMPDIR/relay$family.out" || true
}

# relayed PROTO MOST: a client's connection is answered, and the router accepted at most
# MOST connections for it
relayed()
{
	local flows before made

	flows=$(counter steered_flows)
	before=$(accepted)
	ask "$1" 10.1.2.3 80 || true
	made=$(($(accepted) - before))
	echo "# $1, IPv$family: steered, $made for one of the client; $answer"
	[[ $answer == *via=beyond* ]]
	[ "$(counter steered_flows)" -gt "$flows" ]
	[ $made -ge 1 ]
	[ $made -le "$2" ]
}

# straight PROTO: the control, without a rule
straight()
{
	shunt steer flush
	ask "$1" 10.1.2.3 80
	echo "# $1, IPv$family: plain, 1 for one of the client; $answer"
	[[ $answer == *via=beyond* ]]
}

activated()
{
	start_relay
	straight "$1"
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	relayed "$1" 1
	# the cgroup is known now
	relayed "$1" 1
	[ "$(counter loops_ended)" = 0 ]
	[ "$(counter router_own_packets)" -ge 2 ]
	stops "relay$family"
}

@test "steer, origin local: systemd socket activation: the router's connections are not steered to itself" {
	each_way activated
	shunt status | grep -F "that were the router's own: 8"
}

# no_neighbor PROTO: the kernel sends the first packet later, when another process runs
no_neighbor()
{
	start_relay
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	ip neigh flush dev r1
	relayed "$1" 2
	stops "relay$family"
}

@test "steer, origin local: no loop when the router's first packet waits for the next hop's MAC address" {
	each_way no_neighbor
}

guarded()
{
	start_relay "$way"
	straight "$1"
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	loops=$(counter loops_ended)
	relayed "$1" 2
	[ "$(counter loops_ended)" -gt "$loops" ]
	[ "$(shunt -j steer list | jq '.[0].loops_ended')" -ge 1 ]
	shunt steer list | grep -E 'loops ended [1-9]'
	relayed "$1" 2
	stops "relay$family"
}

@test "steer, origin local: a loop ends: a process for each connection, as with inetd and Accept=yes" {
	way=--child
	each_family guarded tcp
	shunt status | grep -F 'LOOPS ENDED: '
	shunt metrics | grep -E '^shunt_steer_loops_ended_total [1-9]'
}

@test "steer, origin local: a loop ends: another program connects for the server, as with socat's EXEC" {
	way=--grandchild
	each_family guarded tcp
}

@test "steer, origin local: a loop ends: --router-mark, and the router sets none" {
	reload_steer --iface r1 --router-mark 0x60

	each_family guarded_by_mark tcp
}

guarded_by_mark()
{
	start_relay
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	relayed "$1" 2
	relayed "$1" 2
	stops "relay$family"
}

# many_at_once: one process has 70 connections, all of them to the same destination
many_at_once()
{
	local fd i line
	local -a fds=()

	add tcp dst 10.1.2.3 origin local to 127.0.0.1:9002
	translate 10.1.2.3
	for i in {1..70}; do
		exec {fd}<>"/dev/tcp/${words[0]}/80"
		fds+=("$fd")
		read -ru "$fd" line
		[[ $line == *via=9002 ]] || break
	done
	for fd in "${fds[@]}"; do
		exec {fd}>&-
	done
	echo "# IPv$family: $i of 70"
	[ "$i" = 70 ]
}

@test "steer, origin local: no client is taken for a loop: 70 connections of one process to one destination" {
	cgroup routers "$CGROUP_ROOT/router"
	serve others routers tcp 127.0.0.1 9002 tcp ::1 9002
	each_family many_at_once tcp
	[ "$(counter loops_ended)" = 0 ]
	[ "$(counter router_own_packets)" = 0 ]
}
