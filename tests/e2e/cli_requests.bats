#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The command line: requests that can't be met get one line and exit code 1, and change
# nothing. Every command may be repeated.

load ../lib/cli

# --- what can't be done: exit code 1 -----------------------------------------

@test "cli: load: an unknown interface, a missing cgroup" {
	fails 1 "'nope'" load --iface nope
	fails 1 "'nope'" load --iface v0 --iface nope
	fails 1 "'nope'" load --iface v0 --monitor nope
	fails 1 "'nope'" monitor --once --iface nope
	fails 1 "'nope'" load --cgroup nope=eager
	fails 1 "'/nope'" load --cgroup /nope=eager
	fails 1 "'/tmp' is not a directory of cgroup2" load --cgroup /tmp=eager --iface v0
	fails 1 "'interface-names-end-here'" load --iface interface-names-end-here
	load_both
	fails 1 "'nope'" load --iface nope
	fails 1 "'nope'" steer test tcp src 10.0.0.1 dst 10.0.0.2:80 iface nope
}

@test "cli: load: --exclude that would have no effect is refused" {
	fails 2 "'process:nginx'" load --cgroup "$CGROUP=eager" --exclude process:nginx
	fails 2 'no --cgroup' load --iface v0 --exclude port:80
	runs 0 load --cgroup "$CGROUP=eager" --exclude port:80
}

@test "cli: 'ip netns exec' hides the bpf file system" {
	own_run
	ip netns add shunt-test
	program=(timeout 30 ip netns exec shunt-test "$SHUNT")
	fails 1 nsenter load --iface lo
	fails 1 nsenter steer list
	fails 1 nsenter status
	fails 1 nsenter unload
	ip netns del shunt-test
}

@test "cli: in another network namespace a command says where it looks" {
	netns apart
	load_both
	program=(timeout 30 nsenter --net="$BATS_TEST_TMPDIR/netns-apart" -- "$SHUNT")
	runs 0 status
	grep -q 'in another network namespace' "$OUT"
	fails 1 "'nope': no such interface in the network namespace that shunt is loaded in" \
		steer test tcp dst 10.0.0.1:80 iface nope
	runs 0 steer add tcp dst 10.0.0.0/8 iface v0 pass
	program=(timeout 30 "$SHUNT")
	runs 0 status
	[ "$(grep -c 'in another network namespace' "$OUT")" = 0 ]
	remove_netns
}

@test "cli: commands say so when nothing is loaded" {
	fails 1 'not loaded' steer add tcp dst 10.0.0.0/8 pass
	fails 1 'not loaded' steer del tcp dst 10.0.0.0/8
	fails 1 'not loaded' steer list
	fails 1 'not loaded' steer flush
	fails 1 'not loaded' steer test tcp src 10.0.0.1 dst 10.0.0.2:80
	fails 1 'not loaded' sockets
	fails 1 'not loaded' trace on
	fails 1 'not loaded' trace off
}

# fixed OPTION HALF WORD...: load names the option that can't change
fixed()
{
	fails 1 "$1 can't change while $2 is loaded; 'shunt unload $2' first" load "${@:3}"
}

@test "cli: load again: settings that can't change while they are in force" {
	load_both
	fixed --mark steering --mark 0x2000000
	fixed --table steering --iface v1 --table 1
	fixed --max-flows steering --max-flows 7
	fixed --nat-flows nat --nat-flows 7
	fails 1 "is loaded as 'eager', not 'proven'; 'shunt unload --cgroup $CGROUP' first" load --cgroup "$CGROUP" --max-bytes 4096
	[ "$(status bypass.max_bytes)" != 4096 ]
	runs 0 load --iface v0 --cgroup "$CGROUP=eager"
	grep -q 'already loaded' "$ERR"
}

@test "cli: load again: settings that change at once" {
	load_both
	runs 0 load --max-bytes 4096 --max-messages 7 --host-bytes 4096000 --max-rules 9
	[ "$(status bypass.max_bytes)" = 4096 ]
	[ "$(status bypass.max_messages)" = 7 ]
	[ "$(status bypass.host_bytes)" = 4096000 ]
	[ "$(status steer.max_rules)" = 9 ]
	runs 0 load --exclude port:22 --router-mark 7 --router-cgroup "$CGROUP" --nat-idle udp=7
	[ "$(shunt -j status | jq -c '.. | .excludes? // empty')" = '["port:22"]' ]
	runs 0 load --exclude port:23
	[ "$(shunt -j status | jq -c '.. | .excludes? // empty')" = '["port:22","port:23"]' ]
	# what is not named stays
	[ "$(status bypass.max_bytes)" = 4096 ]
}

@test "cli: load again: a setting of a half that is not loaded" {
	shunt load --iface v0
	fails 1 '--max-bytes: bypass is not loaded; give --cgroup, too' load --max-bytes 4096
	shunt unload
	shunt load --cgroup "$CGROUP=eager"
	fails 1 '--mark: steering is not loaded; give --iface, too' load --mark 4
}

@test "cli: commands without root say so" {
	local verb

	program=(setpriv --reuid=65534 --regid=65534 --clear-groups "$SHUNT")
	"${program[@]}" --version || skip "nobody can't run $SHUNT"
	load_both
	fails 1 'needs root' load --iface v0
	fails 1 'needs root' unload
	fails 1 'needs root' status
	fails 1 'needs root' check
	fails 1 'needs root' steer add tcp dst 10.0.0.0/8 pass
	fails 1 'needs root' steer list
	fails 1 'needs root' sockets
	fails 1 'needs root' monitor --once
	runs 1 metrics
	one_line "$ERR" 'needs root'
	fails 1 'needs root' trace on
	fails 1 'needs root' trace follow
	for verb in load unload check steer sockets trace; do
		runs 0 $verb help
	done
}

@test "cli: load on a kernel without BTF says so" {
	unshare --mount bash -euc 'mount -t tmpfs none /sys/kernel/btf; exec "$@"' - \
		true || skip "no /sys/kernel/btf to hide"
	program=(unshare --mount bash -euc 'mount -t tmpfs none /sys/kernel/btf; exec "$@"' - "$SHUNT")
	fails 1 '/sys/kernel/btf/vmlinux' load --iface v0
	fails 1 '/sys/kernel/btf/vmlinux' load --cgroup "$CGROUP=eager"
	runs 1 check
	grep -q '^FAIL  type info' "$OUT"
	# status and unload work all the same
	load_both
	runs 0 status
	runs 0 unload
}

@test "cli: --pin-dir: a directory that can't be used" {
	fails 1 "'$BATS_TEST_TMPDIR/pins'" --pin-dir "$BATS_TEST_TMPDIR/pins" load --iface v0
	fails 1 "'/sys/fs/bpf/no/pins'" --pin-dir /sys/fs/bpf/no/pins load --iface v0
	[ ! -e "$BATS_TEST_TMPDIR/pins" ]
}

@test "cli: SHUNT_PIN_DIR: a name with a dot is refused, unless --pin-dir overrules it" {
	SHUNT_PIN_DIR=/sys/fs/bpf/a.b complains 2 "SHUNT_PIN_DIR '/sys/fs/bpf/a.b': the bpf file" status
	SHUNT_PIN_DIR=/sys/fs/bpf/a.b runs 0 --pin-dir /sys/fs/bpf/./other/../other status
}

@test "cli: load: too little memory is no refusal of the kernel" {
	local size

	for size in 12 16 20 24; do
		prlimit --as=$((size * 1000000)) "$SHUNT" load --iface v0 >"$OUT" 2>"$ERR" 3>&- ||
			one_line "$ERR" 'Cannot allocate memory'
		shunt unload
	done
}

@test "cli: output that can't be written is a failure" {
	[ -e /dev/full ] || skip "no /dev/full"
	OUT=/dev/full runs 1 status
	one_line "$ERR" stdout
	OUT=/dev/full runs 1 steer help
}

# --- a failed load leaves nothing behind -------------------------------------

@test "cli: load: the routing table is in use" {
	local add

	for add in 'ip route' 'ip -6 route'; do
		$add add local default dev lo table 20560
		fails 1 'routing table 20560 (' load --iface v0
		$add del local default dev lo table 20560
	done
	shunt --pin-dir /sys/fs/bpf/other load --iface v0
	fails 1 'routing table 20560 (' load --iface v0 --mark 0x2000000
	shunt --pin-dir /sys/fs/bpf/other unload
	shunt load --iface v0
}

@test "cli: load: lo is down" {
	ip link set lo down
	fails 1 "'lo' is down" load --iface v0
	ip link set lo up
	host_state >"$BATS_TEST_TMPDIR/before"
}

@test "cli: load: another program on the cgroup allows no second one" {
	local held=$CGROUP_ROOT/held maps

	mkdir "$held"
	shunt --pin-dir /sys/fs/bpf/other load --cgroup "$CGROUP=eager"
	bpftool cgroup attach "$held" sock_ops pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	maps=$(own_maps)
	fails 1 "'$held'" load --iface v0 --cgroup "$CGROUP=eager" --cgroup "$held=eager"
	[ "$(own_maps)" = "$maps" ]
	[ "$(bpftool -j cgroup show "$CGROUP" |
		jq 'map(select(.attach_type == "cgroup_sock_ops")) | length')" = 1 ]
	bpftool cgroup detach "$held" sock_ops pinned /sys/fs/bpf/other/bypass/progs/shunt_eager
	shunt --pin-dir /sys/fs/bpf/other unload
	rmdir "$held"
}

# --- said twice --------------------------------------------------------------

@test "cli: load, unload, add and del say when there is nothing to do" {
	silently load --iface v0 --cgroup "$CGROUP=eager"
	says 'already loaded' load --iface v0 --cgroup "$CGROUP=eager"
	says 'already loaded' load --cgroup "$CGROUP=eager" --iface v0 --iface v0

	silently steer add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	says 'already there: tcp dst 10.1.0.0/16 to 127.0.0.1:9001' \
		steer add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	[ "$(status steer.rules)" = 1 ]
	runs 0 steer add tcp dst 10.1.0.0/16 pass
	one_line "$ERR" 'replaced by: tcp dst 10.1.0.0/16 pass'
	[ "$(status steer.rules)" = 1 ]
	silently steer del tcp dst 10.1.0.0/16
	says 'no such rule: tcp dst 10.1.0.0/16; nothing to delete' steer del tcp dst 10.1.0.0/16
	silently steer flush
	silently steer flush

	silently trace on
	says 'on already' trace on
	[ "$(status trace)" = true ]
	silently trace off
	says 'off already' trace off

	silently unload
	says 'nothing is loaded' unload
}

# --- what each half loads ----------------------------------------------------

@test "cli: load --iface alone attaches steering only" {
	shunt load --iface v0
	shunt -j status | jq -e '.loaded and .bypass.cgroups == [] and
		.steer.ifaces[0].name == "v0" and .steer.ifaces[0].attached'
	[ -e "$PIN_DIR"/steering/progs/shunt_steer ]
	# what few need is loaded when they do
	[ ! -e "$PIN_DIR"/steering/progs/shunt_test ]
	shunt steer test tcp src 10.0.0.1 dst 10.0.0.2:80
	[ -e "$PIN_DIR"/steering/progs/shunt_test ]
	[ ! -e "$PIN_DIR"/bypass/progs/shunt_eager ]
	[ ! -e "$PIN_DIR"/bypass/progs/shunt_verdict ]
	nothing_attached
	fails 1 'bypass is not loaded' sockets
}

@test "cli: load --cgroup alone attaches the bypass only" {
	shunt load --cgroup "$CGROUP=eager"
	shunt -j status | jq -e --arg path "$CGROUP" '.loaded and .steer.ifaces == [] and
		.bypass.cgroups == [{ path: $path, admit: "eager", attached: true, removed: false, gone: false }]'
	[ -e "$PIN_DIR"/bypass/progs/shunt_eager ]
	[ ! -e "$PIN_DIR"/steering/progs/shunt_steer ]
	diff <(grep -v ^shunt "$BATS_TEST_TMPDIR/before") <(host_state | grep -v ^shunt)
	fails 1 'steering is not loaded' steer list
	fails 1 'steering is not loaded' steer add tcp dst 10.0.0.0/8 pass
}

@test "cli: load --cgroup takes a path below the mount of cgroup2" {
	shunt load --cgroup "${CGROUP#"$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"/}=eager"
	[ "$(status 'bypass.cgroups[0].path')" = "$CGROUP" ]
}
