#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# TCP_REPAIR: a checkpoint (CRIU, podman container checkpoint) of an established
# connection on the fast path has all bytes.

load ../lib/common

setup()
{
	mkdir -p "$CGROUP"
}

teardown()
{
	clean_up
}

redirects()
{
	wait_for status_is bypass.redirected_messages -gt 1000
}

why_is()
{
	sockets | jq -r '.[].to_client.last, .[].to_server.last, .[].why' | grep -q "$1"
}

@test "bypass: checkpoint (TCP_REPAIR), eager: what is sent after the dump goes by TCP" {
	load_eager
	spawn begins peer begins repair
	redirects
	tell begins
	said begins 'dumped\|busy'
	tell begins
	said begins hot
	tell begins
	reap begins
	wait_for maps_empty
}

@test "bypass: checkpoint (TCP_REPAIR), proven: what is sent after the dump goes by TCP" {
	shunt load --cgroup "$CGROUP"
	spawn supervisor "$SHUNT" run
	spawn begins peer begins repair
	redirects
	tell begins
	said begins 'dumped\|busy'
	wait_for why_is 'repair mode'
	tell begins
	said begins hot
	tell begins
	reap begins
	wait_for maps_empty
}
