#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# 'shunt upgrade' at times that do not suit it: after a kill, without a supervisor that works, and with
# interfaces or cgroups that are gone.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams
load ../lib/kills
load ../lib/versions

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
	own_version
}

# strays: programs that use a map of this shunt and are not pinned
strays()
{
	bpftool -jf prog show 3>&- | jq -c --argjson maps "$(own_maps)" '.[] |
		select(any(.map_ids[]?; IN($maps[])) and (.pinned | length) == 0) | [.id, .name]'
}

no_strays()
{
	[ -z "$(strays)" ]
}

@test "upgrade: kill -9 before the folders change their names, then load: former programs run" {
	shunt load --iface r0 --cgroup "$CGROUP=eager" --nat r1 --monitor r0
	next
	killed_at renameat2 1 "$SHUNT" upgrade
	install_version "$first"
	shunt load --max-bytes 1048576
	[ -z "$(find "$PIN_DIR" -name '*_next')" ]
	wait_for no_strays
}
