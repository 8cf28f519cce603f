# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the packet monitor: v0 and v1 are the ends of a veth pair: v0 in a namespace of its own,
# v1 in the file's. A monitor must leave nothing.
#
# setup() and teardown() are below.

load ../lib/traffic

setup()
{
	netns far
	ip link add v1 type veth peer name v0 netns "$far_file"
	ip link set v1 addrgenmode none up
	"${far[@]}" ip link set v0 addrgenmode none up
	"${far[@]}" ip addr add 10.88.0.2/24 dev v0
	"${far[@]}" ip addr add fd88::2/64 dev v0 nodad
	ip addr add 10.88.0.1/24 dev v1
	ip addr add fd88::1/64 dev v1 nodad
	hooks >"$BATS_TEST_TMPDIR/hooks"
}

teardown()
{
	local maps

	maps=$(own_maps)
	end_all
	unwatch_marks 2>/dev/null || true
	unload
	wait_for no_trace_of "$maps"
	nothing_pinned
	diff "$BATS_TEST_TMPDIR/hooks" <(hooks)
	ip link del v1
	remove_netns
}

# shellcheck disable=SC2034 # for the tests
OUT=$BATS_TEST_TMPDIR/out.json

hooks()
{
	tc qdisc show dev v1
	tc filter show dev v1 ingress
	tc filter show dev v1 egress
}

# Prints the programs of the monitor that this test has loaded.
attached_programs()
{
	bpftool -j prog show 3>&- | jq '[.[] | select(.name // "" | startswith("shunt_count_"))] | length'
}

monitors()
{
	[ "$(attached_programs)" -gt "$1" ]
}

# begin WORD...: starts a monitor in the background, which prints JSON every second. It
# counts from when this function returns.
begin()
{
	local before

	before=$(attached_programs)
	spawn monitor "$SHUNT" -j monitor "$@"
	wait_for monitors $((before + 1))
	# both programs are loaded before one of them is attached
	said monitor packets
}

last_reading()
{
	tail -n 1 "$BATS_TEST_TMPDIR/monitor.out"
}

# reads JQ-CONDITION: the condition holds for the monitor's last output
reads()
{
	last_reading | jq -e "$1" >/dev/null
}

flood()
{
	"${far[@]}" "$PEERS/flood" v0 "$@"
}

# talk_tcp FAMILY ADDRESS: sends 100 kB there, and gets as many back
talk_tcp()
{
	need socat
	head -c 100000 /dev/zero >"$BATS_TEST_TMPDIR/data"
	spawn echo "${far[@]}" socat -T 20 "TCP$1-LISTEN:5001" EXEC:cat
	wait_for listens 5001 "${far[@]}"
	socat -T 20 -t 20 - "TCP$1:$2:5001" <"$BATS_TEST_TMPDIR/data" |
		cmp - "$BATS_TEST_TMPDIR/data"
	reap echo
}
