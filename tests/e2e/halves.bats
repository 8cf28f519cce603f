#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Bypass, steering, NAT and the monitor are loaded, changed and unloaded one by one, under traffic of
# all of them.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams
load ../lib/all_halves

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
}

@test "halves: load adds an interface, a cgroup, NAT and the monitor to what is loaded" {
	shunt load --iface r0
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	shunt load --iface r1
	shunt load --cgroup "$CGROUP=eager"
	shunt load --nat r1 --monitor r0
	shunt -j status >"$BATS_TEST_TMPDIR/status"
	jq -e '.steer.rules == 1 and (.steer.ifaces | length == 2 and all(.attached))' \
		"$BATS_TEST_TMPDIR/status"
	jq -e '.bypass.cgroups | length == 1' "$BATS_TEST_TMPDIR/status"
	[ "$(halves)" = "loaded loaded loaded loaded" ]
	run shunt load --iface r0 --cgroup "$CGROUP=eager"
	[[ $output == *"already loaded"* ]]
}

# sees_steered: the monitor has the mark of steering at r0
sees_steered()
{
	shunt -j monitor --iface r0 --once --interval 1 >"$BATS_TEST_TMPDIR/flows" &
	meets 9999 tcp 10.1.2.3 80
	wait $!
	jq -e 'any(.flows[]; .dport == 80 and .direction == "in" and .steered)' "$BATS_TEST_TMPDIR/flows"
}

@test "halves: the monitor sees what steering does that was attached after it" {
	shunt load --monitor r0
	shunt load --iface r0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
	serve_router tp 9999
	meets 9999 tcp 10.1.2.3 80
	wait_for sees_steered
}

@test "halves: unload takes away one interface, cgroup, NAT or monitor; the others stay" {
	shunt load --iface r0 --iface r1 --cgroup "$CGROUP=eager" --nat r1 --monitor r0
	run ! shunt unload --iface r7
	[[ $output == *"--iface 'r7': not attached"* ]]
	shunt unload --iface r1
	shunt unload --nat r1
	shunt unload --monitor r0
	shunt unload --cgroup "$CGROUP"
	[ "$(shunt -j status | jq -c '[.steer.ifaces[].name]')" = '["r0"]' ]
	[ "$(halves)" = "loaded loaded loaded loaded" ]
	bpftool cgroup show "$CGROUP" 3>&- | grep -q shunt && return 1
	shunt load --iface r1
	[ "$(shunt -j status | jq -c '[.steer.ifaces[].name] | sort')" = '["r0","r1"]' ]
}

@test "halves: unload of a pattern detaches the interfaces that it had brought" {
	shunt load --iface 'r*' --iface r0
	[ "$(status 'steer.ifaces | length')" = 2 ]
	shunt unload --iface 'r*'
	[ "$(shunt -j status | jq -c '[.steer.ifaces[].name]')" = '["r0"]' ]
}

@test "halves: unload takes away one half; the others stay" {
	shunt load --iface r0 --cgroup "$CGROUP=eager" --monitor r0
	shunt nat add tcp dst 10.2.0.0/16 dport 80 to 10.3.0.1
	shunt unload bypass
	[ "$(halves)" = "absent loaded loaded loaded" ]
	shunt unload steering
	[ "$(halves)" = "absent absent loaded loaded" ]
	ip rule | grep -q 'lookup 20560' && return 1
	[ "$(shunt -j nat list | jq length)" = 1 ]
	shunt unload monitor
	shunt unload nat
	[ ! -e "$PIN_DIR" ]
}

@test "halves: halves are loaded in every order" {
	local a b c d words
	declare -A words=([b]="--cgroup $CGROUP=eager" [s]='--iface r0' [n]='--nat r1' [m]='--monitor r0')

	for a in b s n m; do
		for b in b s n m; do
			for c in b s n m; do
				for d in b s n m; do
					[ "$(printf '%s\n' $a $b $c $d | sort -u | wc -l)" = 4 ] || continue
					echo "# $a $b $c $d"
					# shellcheck disable=SC2086 # words
					for half in $a $b $c $d; do shunt load ${words[$half]}; done
					[ "$(halves)" = "loaded loaded loaded loaded" ]
					shunt unload
					[ ! -e "$PIN_DIR" ]
				done
			done
		done
	done
}

@test "halves: a load that fails takes back what it added, and nothing else" {
	local before

	shunt load --iface r0 --cgroup "$CGROUP=eager"
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	before=$(shunt -j status | jq -S 'del(.. | .counters?)'; shunt steer list)
	# a sock_ops program that tolerates no other holds the cgroup
	mkdir -p "$CGROUP_ROOT/held"
	shunt --pin-dir /sys/fs/bpf/other load --cgroup "$CGROUP=eager"
	bpftool cgroup attach "$CGROUP_ROOT/held" sock_ops \
		pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	run ! shunt load --iface r1 --monitor r0 --cgroup "$CGROUP_ROOT/held=eager"
	bpftool cgroup detach "$CGROUP_ROOT/held" sock_ops \
		pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	shunt --pin-dir /sys/fs/bpf/other unload
	diff <(echo "$before") <(shunt -j status | jq -S 'del(.. | .counters?)'; shunt steer list)
}

# --- readers that never read -------------------------------------------------------------------

start_stalled()
{
	shunt load --cgroup "$CGROUP=eager" --iface r0
	spawn stall peer stall 65536 $((8 * MIB))
	said stall stalled
}

@test "halves: a reader that never reads keeps nothing else from being unloaded or loaded" {
	start_stalled
	run -1 shunt unload bypass --timeout 1
	[[ $output =~ 'holds '[1-9][0-9]*' bytes, process '[0-9]+' (stall)' ]]
	[ "$(halves)" = "absent loaded loaded absent" ]
	[ "$(status draining)" = true ]
	shunt load --cgroup "$CGROUP=eager"
	shunt unload steering
	[ "$(halves)" = "loaded absent absent absent" ]
	shunt status | grep -q 'process [0-9]* (stall)'
	run -1 shunt unload --timeout 0
	# its bytes are still there
	tell stall
	said stall drained
	shunt unload
	[ ! -e "$PIN_DIR" ]
	tell stall
	reap stall
}

@test "halves: unload --force resets the connection of a reader that never reads" {
	start_stalled
	run -1 shunt unload --timeout 0
	run -0 shunt unload --timeout 0 --force
	[[ $output =~ 'reset 127.0.0.1:'[0-9]+' <- 127.0.0.1:'[0-9]+', which held '[1-9] ]]
	[ ! -e "$PIN_DIR" ]
}

@test "halves: an unload that waits for a reader does not forget another error" {
	start_stalled
	shunt load --nat lo
	run -1 shunt unload bypass --timeout 0
	mkdir "$PIN_DIR/nat/foreign"
	spawn unload "$SHUNT" unload bypass nat --timeout 20
	wait_for grep -q "can't remove" "$BATS_TEST_TMPDIR/unload.err"
	tell stall
	said stall drained
	! reap unload || return 1
	rmdir "$PIN_DIR/nat/foreign"
	shunt unload
	[ ! -e "$PIN_DIR" ]
	tell stall
	reap stall
}

# older_is_adopted: the bypass has both ends of the connection that an older one keeps.
older_is_adopted()
{
	shunt -j sockets | tee -a /tmp/small2.sockets | jq -e 'length > 0'
}

@test "halves: status lists a socket once, though a later bypass has adopted it" {
	start_stalled
	supervise
	run -1 shunt unload bypass --timeout 0
	shunt load --cgroup "$CGROUP=eager"
	wait_for older_is_adopted
	spawn second peer stall 65536 $((8 * MIB))
	said second stalled
	run -1 shunt unload bypass --timeout 0
	shunt status | grep -q '2 sockets hold bytes'
	[ "$(shunt status | grep -c 'holds [0-9]* bytes, process')" = 2 ]
	[ "$(status lingering_bypasses)" = 2 ]
	tell stall
	said stall drained
	wait_for status_is lingering_bypasses -eq 1
	shunt status | grep -q '1 sockets hold bytes'
	tell second
	said second drained
	wait_for status_is lingering_bypasses -eq 0
	tell stall
	reap stall
	tell second
	reap second
}

# --- what a load leaves to the supervisor -----------------------------------------------------------

names()
{
	shunt -j status | jq -c '[.steer.ifaces[].name]'
}

names_are()
{
	[ "$(names)" = "$1" ]
}

@test "halves: a supervisor that began without interfaces follows those that come" {
	shunt load --iface r1
	shunt unload --iface r1
	supervise
	shunt load --iface 'late0*'
	ip link add late0 type veth peer name later
	wait_for names_are '["late0"]'
	ip link del late0
}

@test "halves: what a pattern brought goes when the load fails" {
	shunt load --iface r1 --cgroup "$CGROUP=eager"
	mkdir -p "$CGROUP_ROOT/held"
	shunt --pin-dir /sys/fs/bpf/other load --cgroup "$CGROUP=eager"
	bpftool cgroup attach "$CGROUP_ROOT/held" sock_ops \
		pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	run -1 shunt load --iface 'r*' --cgroup "$CGROUP_ROOT/held=eager"
	bpftool cgroup detach "$CGROUP_ROOT/held" sock_ops \
		pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	shunt --pin-dir /sys/fs/bpf/other unload
	names_are '["r1"]'
}

# faulty: whether shunt treats this kernel's FIONREAD as wrong
faulty()
{
	bpftool -j map dump pinned "$PIN_DIR/bypass/maps/shunt_conf" 3>&- |
		jq '.[0].formatted.value.fionread_faulty'
}

@test "halves: a cgroup that is added as proven is protected as the first one is" {
	local first

	shunt load --cgroup "$CGROUP"
	first=$(faulty)
	shunt unload
	mkdir -p "$CGROUP/more"
	shunt load --cgroup "$CGROUP=eager" --force
	shunt load --cgroup "$CGROUP/more"
	[ "$(faulty)" = "$first" ]
}

# --- under traffic ----------------------------------------------------------------------------

@test "halves: interfaces, cgroups and limits change under traffic of all halves" {
	start_traffic
	shunt load --iface r1
	traffic_flows
	shunt unload --iface r1
	shunt load --monitor r0 --monitor r1
	mkdir -p "$CGROUP/more"
	shunt load --cgroup "$CGROUP/more"
	traffic_flows
	shunt unload --cgroup "$CGROUP/more"
	shunt load --max-bytes 100000 --max-rules 1000 --nat-idle udp=7
	traffic_flows
	shunt unload monitor
	traffic_flows
	end_traffic
}

@test "halves: bypass is unloaded and loaded again under traffic of all halves" {
	start_traffic
	shunt unload bypass
	traffic_flows
	shunt load --cgroup "$CGROUP"
	traffic_flows
	end_traffic
}
