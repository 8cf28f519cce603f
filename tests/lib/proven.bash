# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Admission 'proven': a cgroup of its own, and readers that are promoted or never are.
#
# setup() and teardown() are below.

load ../lib/common

CGROUP=$CGROUP_ROOT/proven

setup()
{
	mkdir -p "$CGROUP"
}

teardown()
{
	clean_up
	# cgroups of a test that failed
	find "$CGROUP" -mindepth 1 -type d -exec rmdir {} + 2>/dev/null || true
}

load_proven()
{
	shunt load --cgroup "$CGROUP" "$@"
}

# supervise_as NAME: supervise() under another name
supervise_as()
{
	spawn "$1" "$SHUNT" run
	wait_for supervised
}

unsupervised()
{
	! supervised
}

state_is()
{
	[ "$(sockets | jq -r '.[0].state')" = "$1" ]
}

# The reason that 'shunt sockets' gives for a pair matches.
why_is()
{
	sockets | jq -r '.[].why' | grep -q "$1"
}

# promotes STYLE: a reader of this style is promoted, and its messages are redirected.
promotes()
{
	spawn "$1" peer style "$1" 60
	wait_for state_is active
	wait_for status_is bypass.redirected_messages -gt 1000
	tell "$1"
	reap "$1"
	wait_for maps_empty
}

# never STYLE REASON: a reader of this style is ruled out for that reason.
never()
{
	spawn "$1" peer style "$1" 60
	wait_for why_is "$2"
	tell "$1"
	reap "$1"
	[ "$(status bypass.promoted)" = 0 ]
	[ "$(status bypass.redirected_messages)" = 0 ]
	wait_for maps_empty
}

no_members()
{
	[ "$(map_entries shunt_socks)" = 0 ]
}

scans()
{
	bpftool -j map dump pinned "$PIN_DIR/bypass/maps/shunt_conf" 3>&- | jq '.[0].formatted.value.run.scan_seq'
}

scans_reached()
{
	[ "$(scans)" -ge "$1" ]
}
