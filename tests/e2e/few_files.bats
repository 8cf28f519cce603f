#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Too few file descriptors (EMFILE). A command that can't look at something must not
# conclude that it does not exist. With any number of descriptors a command does all that
# was asked for, or says why not, and everything attached stays attached.

bats_require_minimum_version 1.5.0
load ../lib/common

# load_all: loads the bypass, steering with 'origin local', and NAT
load_all()
{
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP" --iface veth0 --iface 'x*' --nat veth0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 iface veth0 to 127.0.0.1:9999
	shunt steer add tcp dst 10.1.0.0/16 dport 80 origin local to 127.0.0.1:9999
}

setup()
{
	ip link add veth0 type veth peer name veth1
	ip link set veth0 up
}

teardown()
{
	clean_up
	ip link del veth0
}

# with_files N COMMAND...: shunt with at most N file descriptors. Its messages are in $output. The
# limit is for the numbers of descriptors, so shunt inherits only the first three.
with_files()
{
	# shellcheck disable=SC2016 # for the inner shell
	run timeout 20 bash -c 'for fd in {3..20}; do eval "exec $fd>&-"; done
		exec prlimit --nofile="$@"' - "$1" "$SHUNT" "${@:2}"
	case $status in
	0) ;;
	1 | 2) [ -n "$output" ] || { echo "nothing said with $1 files: ${*:2}"; return 1; } ;;
	*) echo "status $status with $1 files: ${*:2}: $output"; return 1 ;;
	esac
}

attachments()
{
	shunt -j status | jq -c '[.bypass.cgroups, .steer.ifaces, .nat.ifaces, .steer.routed, .steer.rules]'
}

links()
{
	bpftool -jf link show 3>&- | jq -c '[.[] | select(.pinned | length > 0) | .id]'
}

# kept COMMAND...: with each number of descriptors everything stays attached
kept()
{
	local n was links

	was=$(attachments)
	links=$(links)
	for n in {4..16}; do
		with_files "$n" "$@"
		[ "$(links)" = "$links" ] && [ "$(attachments)" = "$was" ] && continue
		echo "with $n files '$*' left $(attachments), said: $output"
		return 1
	done
	[ "$status" = 0 ]
}

@test "EMFILE: the same load again detaches nothing" {
	load_all
	kept load --cgroup "$CGROUP" --iface veth0 --iface 'x*' --nat veth0
}

@test "EMFILE: status, sockets, and changes of rules and NAT rules detach nothing" {
	load_all
	kept status
	kept sockets
	kept steer add tcp dst 10.1.0.0/16 dport 80 origin local to 127.0.0.1:9999
	kept nat list
	kept nat flush
}

# waits_for_input NAME: the process waits for its standard input, a pipe
waits_for_input()
{
	grep -q pipe_read "/proc/$(cat "$BATS_TEST_TMPDIR/$1.pid")/wchan"
}

shunt_fed()
{
	exec "$SHUNT" "$@" <"$BATS_TEST_TMPDIR/feed"
}

# reads_without_files LINE COMMAND...: shunt reads LINE when it can open no file any more. Its
# messages are in $output.
reads_without_files()
{
	local fd

	rm -f "$BATS_TEST_TMPDIR"/{reader.*,feed}
	mkfifo "$BATS_TEST_TMPDIR/feed"
	spawn reader shunt_fed "${@:2}"
	exec {fd}>"$BATS_TEST_TMPDIR/feed"
	wait_for waits_for_input reader
	prlimit --pid "$(cat "$BATS_TEST_TMPDIR/reader.pid")" --nofile=3:
	echo "$1" >&"$fd"
	exec {fd}>&-
	wait_for ended reader
	output=$(cat "$BATS_TEST_TMPDIR/reader.err")
	echo "$output"
}

@test "EMFILE: a rule for an interface that is there never waits for it" {
	load_all
	reads_without_files 'tcp dst 10.4.0.0/16 iface veth0 to 127.0.0.1:9999' apply -
	[[ $output == *"can't look at interface 'veth0'"* ]]
	shunt steer add tcp dst 10.4.0.0/16 dport 99 iface veth0 to 127.0.0.1:9999
}

@test "EMFILE: load never says that an interface that is there is missing" {
	reads_without_files 'iface veth0' load --config -
	[[ $output == *"can't look at interface 'veth0'"* ]]
	reads_without_files 'monitor veth0' load --config -
	[[ $output == *"can't look at interface 'veth0'"* ]]
	nothing_pinned
}

@test "EMFILE: load names it, and never says that an interface or a cgroup is missing" {
	local n
	mkdir -p "$CGROUP"
	for n in 4 5 6 8 12 24 48; do
		with_files "$n" load --iface veth0 --cgroup "$CGROUP"
		[ "$status" != 0 ] || break
		echo "$n: $output"
		! [[ $output =~ no\ (interface|cgroup|type\ information) ]]
	done
	[ "$status" != 0 ] || unload
	nothing_left "$(own_maps)"
}

# rules_left: the variable left has the routing rules and settings of shunt
rules_left()
{
	{ ip rule; ip -6 rule; } | grep fwmark
	{ ip route show table all; ip -6 route show table all; } | grep 'proto 115'
	[ "$(cat /proc/sys/net/ipv4/conf/lo/accept_local)" = 0 ] || echo accept_local
	[ "$(cat /proc/sys/net/ipv4/conf/lo/forwarding)" = "$forwarding" ] || echo forwarding
}

@test "EMFILE: rules, routes and settings that unload leaves are found by the next unload" {
	local n forwarding
	forwarding=$(cat /proc/sys/net/ipv4/conf/lo/forwarding)
	for n in {4..14}; do
		load_all
		with_files "$n" unload
		unload
		nothing_pinned
		run rules_left
		[ -z "$output" ] && continue
		echo "with $n files: $output"
		return 1
	done
}

# first_free PID: prints the number that the next file descriptor of the process gets
first_free()
{
	local n=0

	while [ -e "/proc/$1/fd/$n" ]; do
		n=$((n + 1))
	done
	echo $n
}

@test "EMFILE: the supervisor detaches no interface that it can't look at" {
	local pid was
	load_all
	spawn run "$SHUNT" run
	supervised()
	{
		status_is bypass.supervised = true
	}
	wait_for supervised
	pid=$(cat "$BATS_TEST_TMPDIR/run.pid")
	was=$(attachments)
	# one descriptor for the lock, and none to look with
	prlimit --pid "$pid" --nofile=$(($(first_free "$pid") + 1)):1024
	ip link add x0 type veth peer name y0
	wait_for grep -q 'Too many open files' "$BATS_TEST_TMPDIR/run.err"
	[ "$(attachments)" = "$was" ]
	prlimit --pid "$pid" --nofile=1024:1024
	now_attached()
	{
		shunt -j status | jq -e '[.steer.ifaces[].name] | index("x0")' >/dev/null
	}
	wait_for now_attached
	ip link del x0
	kill "$pid"
	wait_for ended run
}

# run_few N: shunt run with at most N file descriptors
run_few()
{
	local fd

	for fd in {3..20}; do
		eval "exec $fd>&-"
	done
	exec prlimit --nofile="$1" "$SHUNT" run
}

# ended_or_beats NAME: the supervisor has ended, or gives its heartbeat
ended_or_beats()
{
	ended "$1" || status_is bypass.supervised = true
}

@test "EMFILE: a supervisor that runs can scan the sockets" {
	local n pid refused=0
	load_all
	for n in {4..30}; do
		rm -f "$BATS_TEST_TMPDIR"/run.*
		spawn run run_few "$n"
		wait_for ended_or_beats run
		if ended run; then
			[ -s "$BATS_TEST_TMPDIR/run.err" ]
			refused=$n
			continue
		fi
		pid=$(cat "$BATS_TEST_TMPDIR/run.pid")
		grep -q 'link_type:.iter' /proc/"$pid"/fdinfo/* || {
			echo "runs with $n files, and does not scan"
			return 1
		}
		kill "$pid"
		wait_for ended run
	done
	[ "$refused" -gt 4 ] && [ "$refused" -lt 30 ]
}
