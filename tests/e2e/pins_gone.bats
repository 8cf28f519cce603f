#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The pins are gone, because the bpf file system was unmounted (umount -l) or somebody
# removed the pin directory: the next unload or load removes what is left on the host.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	ip link add veth0 type veth peer name veth1
	ip link set veth0 up

	before=$(host)
}

teardown()
{
	other unload
	clean_up
	ip link del veth0
	ip rule del pref 97 2>/dev/null || true
}

# host: prints all that shunt changes outside of its pins
host()
{
	ip rule
	ip -6 rule
	ip route show table all proto 115
	ip -6 route show table all proto 115
	cat /proc/sys/net/ipv4/conf/{lo,all}/{accept_local,forwarding}
	tc qdisc show dev veth0
	find /run -maxdepth 1 -name 'shunt*' # umount makes a folder of its own there
}

load_all()
{
	shunt load --iface veth0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 origin local to 127.0.0.1:9999
	shunt nat add tcp dst 10.9.9.9 dport 80 to 127.0.0.1:80
	[ "$(host)" != "$before" ]
}

# The programs go with their pins, some time later.
lose_pins()
{
	local maps

	maps=$(own_maps)
	umount -l /sys/fs/bpf
	mount -t bpf -o mode=0700 bpf /sys/fs/bpf
	wait_for no_trace_of "$maps"
}

@test "pins gone: unload after the bpf file system was unmounted leaves nothing" {
	load_all
	lose_pins
	run -0 shunt unload
	grep -q 'removed the routing rules of mark' <<<"$output"
	diff <(echo "$before") <(host)
	# a second unload has nothing to do
	run -0 shunt unload
	[ "$output" = "shunt: nothing is loaded in '/sys/fs/bpf/shunt'" ]
}

@test "pins gone: unload while the bpf file system is unmounted leaves nothing" {
	local maps

	load_all
	maps=$(own_maps)
	umount -l /sys/fs/bpf
	wait_for no_trace_of "$maps"
	run -0 shunt unload
	diff <(echo "$before") <(host)
	mount -t bpf -o mode=0700 bpf /sys/fs/bpf
}

@test "pins gone: unload after somebody removed the pins leaves nothing" {
	local maps

	load_all
	maps=$(own_maps)
	rm -r "$PIN_DIR"
	wait_for no_trace_of "$maps"
	run -0 shunt unload
	diff <(echo "$before") <(host)
}

@test "pins gone: load takes over what is left, and unload removes it" {
	load_all
	lose_pins
	load_all
	[ "$(status steer.route_present)" = true ]
	shunt unload
	diff <(echo "$before") <(host)
}

@test "pins gone: rules of a second shunt, and of other programs, stay" {
	local others maps

	other load --iface veth0 --mark 0x40 --table 999
	other steer add tcp dst 10.1.0.0/16 origin local to 127.0.0.1:9999
	ip rule add pref 97 fwmark 0x99 lookup 777
	others=$(host)
	maps=$(own_maps)
	shunt load --iface veth0
	maps=$(jq -nc "$(own_maps) - $maps")
	rm -r "$PIN_DIR"
	wait_for no_trace_of "$maps"
	run -0 shunt unload
	[[ $output != *'switched off'* ]]
	diff <(echo "$others") <(host)
	ip rule del pref 97 fwmark 0x99
}

@test "pins gone: settings of lo that the operator made stay" {
	sysctl -qw net.ipv4.conf.lo.accept_local=1
	before=$(host)
	shunt load --iface veth0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 origin local to 127.0.0.1:9999
	lose_pins
	shunt unload
	diff <(echo "$before") <(host)
	sysctl -qw net.ipv4.conf.lo.accept_local=0
}
