#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Network namespaces that end while shunt is loaded in them, and others that get their
# number; interfaces that move from one namespace to another.

# shellcheck disable=SC2030,SC2031 # bats' run sets them in each test anew
load ../lib/common

teardown()
{
	clean_up
}

# make_home: makes a network namespace named home, with an interface e0. A process in it
# makes it visible in /proc.
make_home()
{
	netns home
	furnish
}

furnish()
{
	spawn holder "${home[@]:?}" sleep 1000
	"${home[@]}" ip link add e0 type veth peer name e1
	"${home[@]}" ip addr add 192.0.2.1/24 dev e0
	"${home[@]}" ip link set e0 up
}

# at_home WORD...: shunt in the namespace home
at_home()
{
	"${home[@]}" "$SHUNT" "$@" 3>&-
}

number_of_home()
{
	stat -L -c %i "${home_file:?}"
}

end_home()
{
	end_all
	rm "$BATS_TEST_TMPDIR"/holder.*
	umount "$home_file"
	rm "$home_file"
}

# The namespace ends, and a new one gets its number. The kernel gives the lowest free
# number: namespaces that get another one are kept until that one is free.
replace_home()
{
	local number i

	number=$(number_of_home)
	end_home
	for i in {1..50}; do
		netns "home$i"
		home_file=$BATS_TEST_TMPDIR/netns-home$i
		home=(nsenter --net="$home_file" --)
		if [ "$(number_of_home)" = "$number" ]; then
			furnish
			return
		fi
		pause
	done
	skip "another one took the number"
}

# is_routed: rule and table of the first shunt exist, for both families
is_routed()
{
	"${home[@]}" ip rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560' &&
	"${home[@]}" ip -6 rule | grep -q 'fwmark 0x1000000/0x1000000 lookup 20560' &&
	"${home[@]}" ip route show table 20560 | grep -q 'local default dev lo' &&
	"${home[@]}" ip -6 route show table 20560 | grep -q 'local default dev lo'
}

# --- namespaces that die -----------------------------------------------------

is_gone()
{
	[ "$(status netns_gone)" = true ]
}

@test "netns: another namespace has the number of one that ended: load says so; works after unload" {
	make_home
	at_home load --iface e0 --nat e0
	[ "$(status netns_gone)" = false ]
	[ "$(status 'steer.ifaces[0].attached')" = true ]
	replace_home
	[ "$(status netns_gone)" = true ]
	shunt status | grep 'network namespace.* is gone'
	[ "$(status 'steer.ifaces[0].attached')" = false ]

	run at_home load --iface e0 --nat e0
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"is gone"*"'shunt unload'"* ]]
	at_home unload
	[ ! -e "$PIN_DIR" ]
	at_home load --iface e0 --nat e0
	is_routed
	[ "$("${home[@]}" cat /proc/sys/net/ipv4/conf/lo/forwarding)" = 1 ]
	[ "$(status netns_gone)" = false ]
	[ "$(status 'steer.ifaces[0].attached')" = true ]
	[ "$(status 'nat.ifaces[0].attached')" = true ]
}

# refused WORD...: the command is refused, because the namespace has ended
refused()
{
	run shunt "$@"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"is gone"*"'shunt unload'"* ]]
}

@test "netns: a namespace that ended: rules are refused, save still prints those that exist" {
	make_home
	at_home load --iface e0
	at_home steer add udp dst 10.0.0.0/8 to 127.0.0.1:9001
	end_home
	wait_for is_gone
	refused steer add udp dst 10.1.0.0/16 to 127.0.0.1:9001
	refused apply - <<<'udp dst 10.1.0.0/16 to 127.0.0.1:9001'
	refused diverter -I -c 10.1.0.0 -m 16 -p udp -o 0.0.0.0 -n 0 -l 1 -h 2 -t 9001 -s one
	refused run
	refused load --iface lo
	shunt save | grep -q 'udp dst 10.0.0.0/8 to 127.0.0.1:9001'
}

@test "netns: a namespace that ended: the bypass needs none: cgroups are added and taken away, and it is unloaded" {
	mkdir -p "$CGROUP" "$CGROUP_ROOT/more"
	make_home
	at_home load --iface e0 --cgroup "$CGROUP=eager" --force
	end_home
	wait_for is_gone
	shunt load --cgroup "$CGROUP_ROOT/more=eager" --force
	[ "$(status 'bypass.cgroups | map(.attached) | tostring')" = '[true,true]' ]
	shunt unload --cgroup "$CGROUP_ROOT/more"
	refused load --iface lo
	refused unload --iface e0
	shunt unload bypass
	[ "$(status 'halves | any(. == "bypass")')" = false ]
	refused load --cgroup "$CGROUP=eager" --force
	shunt unload
}

@test "netns: unload for a namespace that ended leaves the one with its number alone" {
	make_home
	at_home load --iface e0
	replace_home
	at_home --pin-dir "$OTHER_DIR" load --iface e0
	is_routed
	unload
	is_routed
	[ "$(other -j status | jq -r '.steer.ifaces[0].attached')" = true ]
}

# --- interfaces that move ----------------------------------------------------

# Two namespaces: home, where shunt is loaded on late0, and away.
load_and_move()
{
	make_home
	netns away
	"${home[@]}" ip link add late0 type veth peer name late1
	"${home[@]}" ip link set late0 up
	at_home load --iface late0 --nat late0 --monitor late0
	all_attached true
}

# all_attached true|false: steering, NAT and monitor of late0
all_attached()
{
	[ "$(status '| [.steer.ifaces[0], .nat.ifaces[0], .monitor.ifaces[0] | .attached] | unique | join(",")')" = "$1" ]
}

needs_tcx()
{
	bpftool btf dump file /sys/kernel/btf/vmlinux 3>&- | grep -q "STRUCT 'tcx_link'" ||
		skip "no tcx in this kernel: filters do not move"
}

@test "netns: an interface that moves to another namespace: status says so, the same load detaches it" {
	needs_tcx
	load_and_move
	"${home[@]}" ip link set late0 netns "${away_file:?}"
	all_attached false
	shunt status | grep "iface late0 .*NOT ATTACHED.* still on it"
	shunt status | grep "nat late0 in .*NOT ATTACHED.* still on it"
	shunt status | grep "monitor late0 .*NOT ATTACHED.* still on it"

	# another one of that name
	"${home[@]}" ip link add late0 type veth peer name late2
	at_home load --iface late0 --nat late0 --monitor late0
	all_attached true
	wait_for nothing_on away late0
	unload
	nothing_on home late0
}

nothing_on()
{
	local -n place=$1

	! "${place[@]}" bpftool net show 3>&- | grep "^$2(.*shunt_"
}

@test "netns: an interface that moves to another namespace and back: 'shunt run' detaches and attaches" {
	needs_tcx
	load_and_move
	supervise
	"${home[@]}" ip link set late0 netns "${away_file:?}"
	wait_for nothing_on away late0
	all_attached false
	shunt status | grep "iface late0 .*NOT ATTACHED"
	[ "$(shunt status | grep -c 'still on it')" = 0 ]
	"${away[@]:?}" ip link set late0 netns "$home_file"
	wait_for all_attached true
	unload
	nothing_on home late0
}
