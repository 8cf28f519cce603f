#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The packet monitor: it counts the packets that cross an interface, keeps the heavy flows
# in a flood of others, labels flows with what shunt does with them, changes no packet, and
# leaves nothing. monitor.bash has the interfaces.

# shellcheck disable=SC2154 # netns sets far
load ../lib/monitor

# --- what it counts ----------------------------------------------------------

@test "monitor: counts packets and bytes of each flow" {
	begin --iface v1 --top 100
	flood 10 2 50
	wait_for reads '[.flows[] | select(.dport == 443)] | length == 2 and
		all(.packets == 50 and .bytes == 50 * 142 and .sport == 2000 and .proto == "udp" and
			.iface == "v1" and .direction == "in" and .dst == "198.51.100.1")'
	reads '[.flows[] | select(.dport == 9) | [.src, .packets, .bytes]] | sort ==
		[range(10) | ["10.0.0.\(.)", 1, 142]]'
	reads '.flows[0].missed_packets == 0 and .packets >= 110'
}

@test "monitor: counts both directions of TCP; packets as on the wire, not of GRO or TSO" {
	begin --iface v1 --top 100 tcp and port 5001
	talk_tcp 4 10.88.0.2
	wait_for reads '(.flows | length == 2) and
		(.flows[] | select(.direction == "out") | .dport == 5001 and .bytes > 100000 and
			.src == "10.88.0.1" and .dst == "10.88.0.2") and
		(.flows[] | select(.direction == "in") | .sport == 5001 and .bytes > 100000)'
	# not more than a segment's worth of bytes in each
	reads 'all(.flows[]; .bytes / .packets < 1600)'
}

@test "monitor: counts IPv6, and protocols without ports" {
	begin --iface v1 --top 100
	talk_tcp 6 '[fd88::2]'
	wait_for reads 'any(.flows[]; .proto == "tcp" and .direction == "out" and
		.dst == "fd88::2" and .dport == 5001 and .bytes > 100000)'
	# neighbours are found by ICMPv6, and by ARP
	"${far[@]}" ip neigh flush all
	spawn once socat -T 1 -u - UDP4:10.88.0.2:9 </dev/null
	wait_for reads 'any(.flows[]; .proto == "icmp6" and (has("sport") | not))'
	reads 'all(.flows[]; .proto != "arp" or (has("src") | not))'
}

@test "monitor: rates are of the last second, totals of the whole time" {
	begin --iface v1
	flood 1 1 1000
	wait_for reads 'any(.flows[]; .dport == 443 and .packets == 1000 and .packets_per_second == 0)'
}

# Another program at tc, which marks packets, runs whether it was attached before the
# monitor or after it.
foreign_sees()
{
	local before

	before=$(seen foreign)
	talk_tcp 4 10.88.0.2
	rm "$BATS_TEST_TMPDIR"/echo.*
	[ "$(seen foreign)" -gt "$before" ]
}

@test "monitor: changes no packet, and leaves packets to the programs behind it" {
	local pin=/sys/fs/bpf/foreign code=0

	watch_marks
	"$PEERS/foreign" tcx v1 $pin || code=$?
	[ $code != 77 ] || skip "no tcx on this kernel"
	begin --iface v1
	foreign_sees
	rm $pin
	"$PEERS/foreign" tcx v1 $pin
	wait_for reads 'any(.flows[]; .dport == 5001)'
	foreign_sees
	rm $pin
	unwatch_marks
}

# --- a flood -----------------------------------------------------------------

# A flow that begins in a flood is counted from its 30th packet on, on average; chance
# decides. 3 % of 20,000 packets are 600.
@test "monitor: 1,000,000 flows: flows that begin among them are right within 3 %, their sum within 1 %" {
	local others memory before cpus

	# other shunts may count on this machine
	others=$(bpftool -j map show 3>&- | jq -c '[.[].id]')
	memory="[.[] | select((.name == \"shunt_ways\" or .name == \"shunt_buckets\") and
		(.id | IN(${others}[]) | not)) | .bytes_memlock] | add"
	begin --iface v1 --top 30 --sort packets
	before=$(bpftool -j map show 3>&- | jq "$memory")
	flood 300000 0 0
	flood 1000000 20 20000
	wait_for reads '.packets >= 1700000'
	[ "$(bpftool -j map show 3>&- | jq "$memory")" = "$before" ]
	cpus=$(tr -d '\n' </sys/devices/system/cpu/possible | sed 's/.*-//')
	[ "$before" -le $(((cpus + 1) * (1 << 19) + (1 << 16))) ]

	last_reading >"$OUT"
	jq -c '.flows[:20][] | [.src, .packets, .missed_packets]' "$OUT"
	# the first twenty of the list are these flows
	jq -e '[.flows[:20][].src] | sort == ([range(1; 21) | "172.16.0.\(.)"] | sort)' "$OUT"
	jq -e 'all(.flows[:20][]; .packets <= 20000 and .packets >= 19400)' "$OUT"
	jq -e '[.flows[:20][].packets] | add >= 396000' "$OUT"
	# each flow's printed bound of the error holds
	jq -e 'all(.flows[:20][]; .packets + .missed_packets >= 20000)' "$OUT"
	jq -e '.flows[20].packets < 100' "$OUT"
	jq -e '.packets >= 1700000 and .packets < 1700100' "$OUT"
}

# --- coming and going --------------------------------------------------------

nothing_of_it()
{
	[ "$(attached_programs)" = "$1" ] && diff "$BATS_TEST_TMPDIR/hooks" <(hooks)
}

@test "monitor: --once, and as JSON; leaves nothing" {
	local before

	before=$(attached_programs)
	shunt monitor --once --iface v1 | grep -q '^IFACE'
	shunt -j monitor --once --iface v1 --top 3 'udp or tcp' |
		jq -e 'has("packets", "bytes", "packets_per_second", "bytes_per_second", "matching") and
			.flows == []'
	wait_for nothing_of_it "$before"
}

@test "monitor: runs until a signal" {
	local before signal

	before=$(attached_programs)
	for signal in INT TERM HUP; do
		begin --iface v1
		kill -$signal "$(cat "$BATS_TEST_TMPDIR/monitor.pid")"
		reap monitor
		wait_for nothing_of_it "$before"
		rm "$BATS_TEST_TMPDIR"/monitor.*
	done
}

@test "monitor: kill -9 leaves nothing, or the next monitor removes it" {
	local before

	before=$(attached_programs)
	begin --iface v1
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/monitor.pid")"
	wait_for ended monitor
	shunt -j monitor --iface v1 --once
	wait_for nothing_of_it "$before"
}

@test "monitor: two monitors at once do not disturb each other" {
	begin --iface v1
	shunt -j monitor --iface v1 --once | jq -e .packets
	flood 1 1 10
	wait_for reads 'any(.flows[]; .packets == 10)'
}

@test "monitor: an interface that goes away" {
	ip link add v2 type veth peer name v3
	ip link set v2 addrgenmode none up
	begin --iface v1 --iface v2
	ip link del v2
	flood 1 1 10
	wait_for reads 'any(.flows[]; .packets == 10)'
}

@test "monitor: load --monitor counts from then on, and unload ends it" {
	local before code=0

	before=$(attached_programs)
	shunt load --monitor v1
	[ "$(status 'monitor.ifaces[0] | "\(.name) \(.attached)"')" = 'v1 true' ]
	flood 1 1 500
	shunt -j monitor --once | jq -e 'any(.flows[]; .packets == 500 and .iface == "v1")'
	# with its programs, not by others
	[ "$(attached_programs)" = $((before + 2)) ]
	spawn monitor "$SHUNT" -j monitor
	said monitor packets
	unload
	reap monitor || code=$?
	[ $code = 1 ]
	last_reading | jq -e '.error == "shunt was unloaded"'
	wait_for nothing_of_it "$before"
}

@test "monitor: load --monitor: again, with steering, and after the interface was made again" {
	shunt load --monitor v1 --iface v1 --monitor v1
	shunt load --iface v1 --monitor v1 2>&1 | grep 'already loaded'
	shunt load --iface v1 2>&1 | grep 'already loaded'
	ip link del v1
	ip link add v1 type veth peer name v0 netns "$far_file"
	ip link set v1 addrgenmode none up
	"${far[@]}" ip link set v0 addrgenmode none up
	[ "$(status 'monitor.ifaces[0].attached')" = false ]
	shunt load --iface v1 --monitor v1 2>&1 | grep 'attached again'
	flood 1 1 500
	shunt -j monitor --once | jq -e 'any(.flows[]; .packets == 500)'
}

# --- what shunt does with the flows ------------------------------------------

@test "monitor: steered flows are labelled, both ways" {
	shunt load --iface v1
	shunt steer add tcp dst 10.99.0.0/24 to 127.0.0.1:9001
	serve_router router 9001
	"${far[@]}" ip route add 10.99.0.0/24 via 10.88.0.1
	begin --iface v1 --top 100
	"${far[@]}" "$PEERS/ask" tcp 10.99.0.7 80
	flood 1 1 10
	wait_for reads '[.flows[] | select(.steered)] | length == 2 and
		any(.direction == "in" and .dst == "10.99.0.7" and .dport == 80) and
		any(.direction == "out" and .src == "10.99.0.7" and .sport == 80)'
	wait_for reads 'any(.flows[]; .dport == 443 and (.steered | not))'
}

# connected PORT: a client has connected to that port
connected()
{
	[ -n "$(ss -Htn state established "dport = :$1")" ]
}

@test "monitor: NAT flows are labelled, both ways, with the addresses that this host's sockets see" {
	shunt load --nat v1 --monitor v1
	shunt nat add tcp dst 10.98.0.7 dport 80 to 10.88.0.2:5001
	ip route add 10.98.0.0/24 via 10.88.0.2
	spawn monitor "$SHUNT" -j monitor --iface v1 --top 100
	said monitor packets
	spawn echo "${far[@]}" socat -T 20 TCP4-LISTEN:5001 EXEC:cat
	wait_for listens 5001 "${far[@]}"
	spawn client socat -T 20 - TCP4:10.98.0.7:80
	wait_for connected 80
	tell client hello
	said client hello
	wait_for reads '[.flows[] | select(.nat)] | length == 2 and
		any(.direction == "out" and .dst == "10.98.0.7" and .dport == 80) and
		any(.direction == "in" and .src == "10.98.0.7" and .sport == 80)'
}

@test "monitor: bypassed pairs are shown with their bytes" {
	load_eager
	begin --top 10 bypassed
	spawn server in_cgroup socat -T 20 -t 20 TCP4-LISTEN:5002,bind=127.0.0.1 EXEC:cat
	wait_for listens 5002
	spawn client in_cgroup socat -T 20 - TCP4:127.0.0.1:5002
	wait_for connected 5002
	tell client "$(printf '%-99s' one)"
	said client one
	tell client "$(printf '%-99s' two)"
	said client two
	# the first message of 100 bytes may have gone by TCP
	wait_for reads '[.flows[] | select(has("iface") | not)] | length == 2 and
		all(.bypassed and .bytes >= 100 and .bytes <= 200 and .proto == "tcp") and
		any(.dst == "127.0.0.1" and .dport == 5002)'
	# packets of the handshake on lo are labelled, too
	reads 'any(.flows[]; .iface == "lo" and .bypassed)'
}
