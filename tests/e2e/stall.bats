#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A receiver that stops reading. The sender is stopped, memory stays bounded, every byte
# arrives in the end, and the fast path is taken again.

load ../lib/common

setup()
{
	mkdir -p "$CGROUP"
}

teardown()
{
	clean_up
	if [ -d "${MEMCG:-}" ]; then
		xargs -rn1 <"$MEMCG/cgroup.procs" | while read -r pid; do
			echo "$pid" >"${MEMCG%/*}/cgroup.procs" 2>/dev/null || true
		done
		rmdir "$MEMCG"
	fi
}

MIB=$((1 << 20))

# stalls SIZE BOUND [BUFFER]: the peer checks the limits and the bytes
stalls()
{
	local before

	spawn stall peer stall "$@"
	said stall stalled
	output_of stall
	grew bypass.redirected_bytes 0 1
	grew bypass.passed_bytes 0 1
	[ "$(status bypass.queued_bytes)" -gt 0 ]
	tell stall
	said stall drained
	wait_for status_is bypass.queued_bytes -eq 0

	before=$(status bypass.redirected_bytes)
	tell stall
	said stall finished
	# all but the first write, for which the kernel takes the last verdict
	# again: that write got EAGAIN (psock->eval in tcp_bpf_send_verdict)
	grew bypass.redirected_bytes "$before" $((MIB - 4096))
	reap stall
	wait_for maps_empty
}

@test "bypass: a stalled reader: 64 KiB writes stop at the default bound of 8 MiB" {
	load_eager
	stalls 65536 $((8 * MIB))
}

@test "bypass: a stalled reader: 64 KiB writes stop at --max-bytes of 256 KiB" {
	load_eager --max-bytes 262144
	stalls 65536 262144
}

@test "bypass: a stalled reader: 1000-byte writes stop at the default bounds" {
	load_eager
	stalls 1000 $((2048 * 1000))
}

@test "bypass: a stalled reader: 1-byte writes stop at the default bound of 2048 messages" {
	load_eager
	stalls 1 2048 32768
}

@test "bypass: a stalled reader: 1-byte writes stop at --max-messages of 16" {
	load_eager --max-messages 16
	stalls 1 16 32768
}

@test "bypass: --host-bytes stops a sender before its connection's own bound" {
	local used # by whatever else this host does

	used=$(($(awk '/^TCP:/ { print $NF }' /proc/net/sockstat) * $(getconf PAGESIZE)))
	load_eager --max-bytes $((64 * MIB)) --host-bytes $((used + 4 * MIB))
	stalls 65536 $((5 * MIB))
}

# A limit on the TCP memory of a process: cgroup v2 counts it as memory, v1 apart.
limit_tcp_memory() # PID BYTES
{
	local v1

	v1=$(findmnt -nro TARGET -t cgroup -O memory | head -1)
	if [ -e "$CGROUP/memory.max" ]; then
		echo "$2" >"$CGROUP/memory.max"
	elif [ -n "$v1" ]; then
		MEMCG=$v1/shunt-test-$$
		mkdir "$MEMCG"
		echo "$2" >"$MEMCG/memory.kmem.tcp.limit_in_bytes"
		echo "$1" >"$MEMCG/cgroup.procs"
	else
		skip "no memory controller for the test's cgroup"
	fi
}

@test "bypass: a sender near the memory limit of its cgroup waits, as over TCP" {
	load_eager --max-bytes $((64 * MIB)) --host-bytes $((1024 * MIB))
	limit_tcp_memory $BASHPID $((6 * MIB))
	spawn stall peer stall 65536 $((6 * MIB))
	said stall stalled
	grew bypass.redirected_bytes 0 1
	tell stall
	said stall drained
	tell stall
	said stall finished
	reap stall
	wait_for maps_empty
}

# All of the machine's TCP memory counts, in units of a CPU's reserve.
tcp_memory()
{
	awk '/^TCP:/ { print $11 * 4096 }' /proc/net/sockstat
}

# many_stall NAME HOST_BYTES: 1,000 stalled readers with a bound of 256 KiB each
many_stall()
{
	load_eager --max-bytes 262144 --host-bytes "$2"
	spawn "$1" peer many 1000 65536
	said "$1" open
	tell "$1" stall 65536
	said "$1" stalled
	status bypass.queued_bytes >"$BATS_TEST_TMPDIR/queued"
	tell "$1" drain
	said "$1" drained
	wait_for status_is bypass.queued_bytes -eq 0
	end_all
	wait_for maps_empty
	unload
}

@test "bypass: 1,000 stalled readers: --host-bytes bounds what is redirected" {
	local reserve=$(($(nproc) * 2 * MIB)) kib

	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	many_stall bound $(($(tcp_memory) + 32 * MIB))
	[ "$(cat "$BATS_TEST_TMPDIR/queued")" -gt 0 ]
	[ "$(cat "$BATS_TEST_TMPDIR/queued")" -le $((32 * MIB + reserve)) ]
	# with so little memory TCP itself stops the senders before
	[ "$kib" -gt $((4 << 20)) ] || return 0
	many_stall free $(($(tcp_memory) + 1024 * MIB))
	[ "$(cat "$BATS_TEST_TMPDIR/queued")" -gt $((128 * MIB)) ]
}

# The control of the tests above: with a huge bound, this many bytes are queued.
@test "bypass: control: with --max-bytes of 64 MiB, 64 MiB are taken" {
	local result=0

	load_eager --max-bytes $((64 * MIB)) --host-bytes $((1024 * MIB))
	spawn stall peer stall 65536 $((8 * MIB))
	reap stall 2>"$BATS_TEST_TMPDIR/why" || result=$?
	[ $result = 1 ]
	grep 'is the limit' "$BATS_TEST_TMPDIR/why"
}
