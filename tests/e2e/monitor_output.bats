#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The packet monitor: the filter, the screen, and metrics. monitor.bash has the interfaces.

# shellcheck disable=SC2154 # netns sets far
load ../lib/monitor

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
