#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The packet monitor: it counts the packets that cross an interface, keeps the heavy flows
# in a flood of others, labels flows with what shunt does with them, changes no packet, and
# leaves nothing. v0 and v1 are the ends of a veth pair: v0 in a namespace of its own, v1 in
# the file's.

# shellcheck disable=SC2154 # netns sets far
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

# answer FAMILY ADDRESS: sends 100 kB there, and gets as many back
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

# --- filter ------------------------------------------------------------------

flows()
{
	cat <<-END
		web4 eth0 in 6 4 10.0.0.1 40000 192.0.2.1 443 S
		back4 eth0 out 6 4 192.0.2.1 443 10.0.0.1 40000 S
		web6 eth1 in 6 6 fd00::1 40001 fd00:1::1 80 -
		dns4 eth1 out 17 4 10.1.0.1 5353 192.0.2.53 53 N
		ping eth0 in 1 4 10.0.0.1 0 192.0.2.1 0 -
		frag eth0 in 17 4 10.9.0.1 0 192.0.2.1 0 -
		arp eth0 in 0 0 - 0 - 2054 -
		pair - - 6 4 127.0.0.1 40002 127.0.0.1 443 B
	END
}

# takes FILTER NAME...: the filter takes these flows and no others
takes()
{
	local taken

	taken=$(flows | "$PEERS/filtered" "$1")
	[ "${taken% }" = "${*:2}" ] && return
	echo "'$1' takes: $taken"
	return 1
}

@test "monitor: filter: words" {
	takes '' web4 back4 web6 dns4 ping frag arp pair
	takes tcp web4 back4 web6 pair
	takes udp dns4 frag
	takes icmp ping
	takes ip web4 back4 dns4 ping frag pair
	takes ip6 web6
	takes 'proto 17' dns4 frag
	takes in web4 web6 ping frag arp
	takes out back4 dns4
	takes 'iface eth1' web6 dns4
	takes steered web4 back4
	takes bypassed pair
	takes nat dns4
	takes 'port 443' web4 back4 pair
	takes 'src port 443' back4
	takes 'dst port 443' web4 pair
	takes 'port 50-80' web6 dns4
	takes 'port 2054'
	takes 'host 10.0.0.1' web4 back4 ping
	takes 'src host 10.0.0.1' web4 ping
	takes 'dst host fd00:1::1' web6
	takes 'net 10.0.0.0/8' web4 back4 dns4 ping frag
	takes 'src net 10.1.0.0/16' dns4
	takes 'net fd00::/16' web6
	takes 'net ::/0' web6
}

@test "monitor: filter: and, or, not, brackets" {
	takes 'tcp and port 443' web4 back4 pair
	takes 'tcp port 443' web4 back4 pair
	takes 'not tcp' dns4 ping frag arp
	takes '!tcp' dns4 ping frag arp
	takes 'not not tcp' web4 back4 web6 pair
	takes 'icmp or udp' dns4 ping frag
	# 'and' binds stronger than 'or', 'not' stronger than 'and'
	takes 'icmp or udp and port 53' dns4 ping
	takes 'udp and port 53 or icmp' dns4 ping
	takes '(icmp or udp) and net 10.0.0.0/16' ping
	takes '(icmp or udp)and(net 10.0.0.0/16)' ping
	takes 'not udp and not tcp' ping arp
	takes 'not (udp or tcp)' ping arp
	takes 'tcp and not (port 443 or ip6) or out and udp' dns4
}

refused()
{
	local code=0

	"$PEERS/filtered" "$1" </dev/null || code=$?
	[ $code = 2 ]
}

@test "monitor: filter: wrong words" {
	local text filter

	while IFS='|' read -r text filter; do
		refused "$filter" 2>"$BATS_TEST_TMPDIR/err"
		[ "$(wc -l <"$BATS_TEST_TMPDIR/err")" = 1 ]
		grep -F -- "${text% }" "$BATS_TEST_TMPDIR/err" || {
			echo "'$filter' gets: $(cat "$BATS_TEST_TMPDIR/err")"
			return 1
		}
	done <<-END
		'prt' | tcp and prt 443
		'TCP' | TCP
		'and' | and tcp
		ends where | tcp and
		ends where | tcp or
		ends where | not
		ends where | (
		')' | ()
		')' is missing | (tcp
		')' has no '(' | tcp)
		'port': a value is missing | port
		'port': a value is missing | (port )
		'0' | port 0
		'65536' | port 65536
		did you mean 80-90? | port 90-80
		'src': 'host', 'net' or 'port' must follow, not '10.0.0.1' | src 10.0.0.1
		'10.0.0.256' | host 10.0.0.256
		'10.0.0.0/8' | host 10.0.0.0/8
		'10.0.0.0' | net 10.0.0.0
		did you mean 10.0.0.0/8? | net 10.0.0.1/8
		'256' | proto 256
		'tcp' | proto tcp
		'interface-names-end-here' | iface interface-names-end-here
	END
	refused "$(printf '(%.0s' {1..100})"
	refused "$(printf 'tcp %.0s' {1..100})"
	refused "$(printf '(%.0s' {1..1000})"
}

@test "monitor: filter: an interface that does not exist is named, and may come later" {
	shunt monitor --once --iface v1 iface nope 2>"$BATS_TEST_TMPDIR/err"
	[ "$(cat "$BATS_TEST_TMPDIR/err")" = "shunt: warning: filter: no interface 'nope' now" ]
	[ -z "$(shunt monitor --once --iface v1 iface v1 2>&1 >/dev/null)" ]
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

# --- the screen --------------------------------------------------------------

# term COMMAND...: a command for the tmux of this test
term()
{
	tmux -S "$BATS_TEST_TMPDIR/tmux" -f /dev/null "$@" 3>&-
}

screen()
{
	term capture-pane -p -t 0
}

shows()
{
	screen | grep -Eq -- "$1"
}

@test "monitor: screen: 80 columns, keys, a change of size; the terminal is restored" {
	need tmux
	term new-session -d -x 80 -y 24 "PS1='ready> ' bash --norc --noprofile"
	wait_for shows 'ready>'
	term send-keys "stty -g >$BATS_TEST_TMPDIR/stty; clear; $SHUNT monitor --iface v1" Enter
	wait_for shows '^v1: '
	flood 100 3 200
	talk_tcp 6 '[fd88::2]'
	wait_for shows '^v1 +in +udp +172\.16\.0\.1:2000 +198\.51\.100\.1:443 .* 28k$'
	wait_for shows '^v1 +out +tcp +\[fd88::1\]:[0-9]+ +\[fd88::2\]:5001 '
	screen >"$BATS_TEST_TMPDIR/screen"
	cat "$BATS_TEST_TMPDIR/screen"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/screen")" = 24 ]
	head -n 1 "$BATS_TEST_TMPDIR/screen" | grep '^v1: .* flows by bps; in all .* B/s, .* packets/s$'
	sed -n 2p "$BATS_TEST_TMPDIR/screen" | grep '^IFACE *DIR *PROT *SOURCE *DESTINATION *B/s *P/s *SUM$'
	tail -n 1 "$BATS_TEST_TMPDIR/screen" | grep 'q ends'

	term send-keys P
	wait_for shows 'flows by packets'
	wait_for shows '^v1 +in +udp +172\.16\.0\.'
	sed -n 3p <(screen) | grep -E '^v1 +in +udp +172'
	term send-keys B
	wait_for shows 'flows by bytes'
	sed -n 3p <(screen) | grep -E '^v1 +(in|out) +tcp'
	term resize-window -x 100 -y 10
	wait_for shows 'q ends'
	[ "$(screen | wc -l)" = 10 ]

	term send-keys q
	wait_for shows 'ready>'
	[ "$(screen | grep -c IFACE)" = 0 ]
	term send-keys "clear; stty -g | cmp - $BATS_TEST_TMPDIR/stty && echo as it' was'" Enter
	wait_for shows '^as it was' || { screen; term kill-server; return 1; }

	# stopped and continued
	term send-keys "clear; $SHUNT monitor --iface v1" Enter
	wait_for shows '^v1: '
	term send-keys C-z
	wait_for shows 'Stopped'
	term send-keys 'fg' Enter
	wait_for shows 'q ends'
	term send-keys C-c
	wait_for shows 'ready>'
	term kill-server
}

@test "monitor: no terminal: plain text, a table each second" {
	spawn monitor "$SHUNT" monitor --iface v1
	wait_for eval '[ "$(grep -c ^IFACE <(output_of monitor))" -ge 2 ]'
	[ "$(output_of monitor | grep -c $'\033')" = 0 ]
}

# told_apart: the first lines say that the filter takes fewer flows and bytes than counted
told_apart()
{
	output_of monitor | awk '
		/^v1: / { flows = $2; packets = $(NF - 1) }
		/^only udp and port 443: / { if ($6 > 0 && $6 < flows && $(NF - 1) < packets) found = 1 }
		END { exit !found }'
}

@test "monitor: the first lines tell how much of the counted traffic the filter takes" {
	spawn monitor "$SHUNT" monitor --iface v1 'udp and port 443'
	said monitor '^only udp and port 443: 0 flows; 0 B/s, 0 packets/s$'
	flood 100 3 100
	talk_tcp 6 '[fd88::2]'
	wait_for told_apart
}

# --- metrics -----------------------------------------------------------------

@test "monitor: metrics: well formed, and the same as status" {
	shunt metrics | grep -qx 'shunt_loaded 0'
	load_eager --iface v1 --monitor v1
	shunt steer add tcp dst 10.0.0.0/8 pass
	shunt metrics >"$BATS_TEST_TMPDIR/metrics"
	awk '
		/^# HELP shunt_[a-z_]+ [A-Z].*[.?]$/ { help = $3; next }
		/^# TYPE shunt_[a-z_]+ (gauge|counter)$/ {
			if ($3 != help || seen[$3]++ || ($3 ~ /_total$/) != ($4 == "counter"))
				bad = 1
			type = $3
			next
		}
		/^shunt_[a-z_]+({([a-z]+="[^"]*",?)+})? [0-9]+$/ {
			split($1, name, "{")
			if (name[1] != type)
				bad = 1
			next
		}
		{ bad = 1 }
		END { exit bad }' "$BATS_TEST_TMPDIR/metrics"
	grep -qx 'shunt_loaded 1' "$BATS_TEST_TMPDIR/metrics"
	grep -qx 'shunt_steer_rules 1' "$BATS_TEST_TMPDIR/metrics"
	grep -qx 'shunt_attached{kind="iface",name="v1"} 1' "$BATS_TEST_TMPDIR/metrics"
	grep -qx 'shunt_attached{kind="monitor",name="v1"} 1' "$BATS_TEST_TMPDIR/metrics"
	grep -qx "shunt_attached{kind=\"cgroup\",name=\"$CGROUP\"} 1" "$BATS_TEST_TMPDIR/metrics"
	grep -qx "shunt_bypass_max_bytes $(status bypass.max_bytes)" "$BATS_TEST_TMPDIR/metrics"
	! command -v promtool >/dev/null || promtool check metrics <"$BATS_TEST_TMPDIR/metrics"
}
