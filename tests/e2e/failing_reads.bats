#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Files that can't be read to their end, and output that can't be written: nothing
# changes, and the exit status says so.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	shunt load --iface lo
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
	shunt steer add tcp dst 10.2.0.0/16 dport 80 to 127.0.0.1:9999
	saved=$(shunt save)
	RULES=$BATS_TEST_TMPDIR/rules
}

teardown()
{
	clean_up
}

unchanged()
{
	[ "$(shunt save)" = "$saved" ]
}

# fails_with REGEX COMMAND...: the command fails, and its message matches
fails_with()
{
	run -1 "${@:2}"
	echo "$output"
	grep -Eq "$1" <<<"$output"
	unchanged
}

# serve_reset: a connection to port 7000 of this host gives the rules, then a reset
serve_reset()
{
	rm -f "$BATS_TEST_TMPDIR"/sender.*
	spawn sender "$PEERS/resets" 7000 "$RULES"
	wait_for listens 7000
}

# from_reset COMMAND...: the command reads all rules, and then gets the reset
from_reset()
{
	local fd

	serve_reset
	exec {fd}<>/dev/tcp/127.0.0.1/7000
	wait_for ended sender
	"$@" <&"$fd" {fd}>&-
}

@test "apply: a directory, or a file that fails with EIO, changes nothing" {
	fails_with "'/tmp'.*directory" shunt apply /tmp
	fails_with "'stdin'.*directory" shunt apply - </tmp
	fails_with "'/proc/self/mem'.*nput/output error" shunt apply /proc/self/mem
}

@test "apply: a read that fails behind the last whole line, or within a line, changes nothing" {
	printf 'tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999\n' >"$RULES"
	fails_with "'stdin'.*reset by peer" from_reset shunt apply -
	printf 'tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:999' >>"$RULES"
	fails_with "'stdin'.*reset by peer" from_reset shunt apply -
	fails_with '"error":"'"'stdin'.*reset by peer" from_reset shunt -j apply -
	printf '\nnat tcp dst 10.0.0.1 dport 80 to 10.0.0.2:8' >>"$RULES"
	fails_with "'stdin'.*reset by peer" from_reset shunt apply -
}

# with_memory KIB COMMAND...: runs the command with KIB KiB of address space
with_memory()
{
	(
		ulimit -v "$1"
		exec "${@:2}"
	)
}

@test "apply: a line that does not fit into memory changes nothing" {
	{
		printf 'tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999\n#'
		head -c 300M /dev/zero | tr '\0' x
		printf '\ntcp dst 10.2.0.0/16 dport 80 to 127.0.0.1:9999\n'
	} >"$RULES"
	with_memory 2000000 "$SHUNT" apply "$RULES"
	unchanged
	fails_with "'$RULES'.*memory" with_memory 200000 "$SHUNT" apply "$RULES"
}

@test "load: a configuration that can't be read to its end loads nothing" {
	shunt unload
	printf 'iface lo\nmark 0x5' >"$RULES"
	run -1 from_reset shunt load --config -
	grep -q "'stdin'.*reset by peer" <<<"$output"
	run -1 shunt load --config /tmp
	grep -q "'/tmp'.*directory" <<<"$output"
	nothing_pinned
	shunt load --iface lo
}

@test "steer test: a read that fails is not taken for the end of the packets" {
	printf 'tcp src 1.1.1.1 dst 10.1.0.1:80\n' >"$RULES"
	fails_with "stdin.*reset by peer" from_reset shunt steer test -
}

@test "save, steer list, status: an error if not all can be written" {
	local command

	for command in save 'steer list' status metrics; do
		run -1 eval "shunt $command >/dev/full"
		grep -q 'stdout.*space' <<<"$output"
	done
	# with -j the message goes the same way
	run -1 eval "shunt -j status >/dev/full"
	run -1 eval "shunt -j steer list >/dev/full"
}

@test "save: an error if output longer than the buffer can't be written" {
	"$PEERS/rules" 1 mixed 2000 0 "$BATS_TEST_TMPDIR"
	shunt apply "$RULES"
	run -1 eval 'shunt save >/dev/full'
	grep -q 'stdout.*space' <<<"$output"
}
