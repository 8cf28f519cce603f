#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Rules as files: apply, save, load --config.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	shunt load --iface lo
	RULES=$BATS_TEST_TMPDIR/rules
}

teardown()
{
	clean_up
}

applied()
{
	shunt -j apply "$1" | jq -c '[.added, .changed, .deleted]'
}

@test "apply: what save prints can be applied and changes nothing" {
	"$PEERS/rules" 1 mixed 1000 0 "$BATS_TEST_TMPDIR"
	[ "$(applied "$RULES")" = '[1000,0,0]' ]
	shunt save >"$RULES.saved"
	[ "$(applied "$RULES.saved")" = '[0,0,0]' ]
	shunt steer flush
	[ "$(applied "$RULES.saved")" = '[1000,0,0]' ]
	diff "$RULES.saved" <(shunt save)
}

@test "apply: rules that stay keep their counters" {
	cat >"$RULES" <<-END
		udp dst 127.0.0.2 pass
		udp dst 127.0.0.3 pass
		udp dst 127.0.0.4 pass
	END
	[ "$(applied "$RULES")" = '[3,0,0]' ]
	echo x >/dev/udp/127.0.0.2/9
	echo x >/dev/udp/127.0.0.3/9
	cat >"$RULES" <<-END
		udp dst 127.0.0.5 pass
		udp dst 127.0.0.3 to 127.0.0.1:9
		udp dst 127.0.0.2 pass
	END
	[ "$(applied "$RULES")" = '[1,1,1]' ]
	[ "$(shunt -j steer list | jq -c 'map([.dst, .packets]) | sort')" = \
		'[["127.0.0.2/32",1],["127.0.0.3/32",1],["127.0.0.5/32",0]]' ]
	[ "$(applied /dev/null)" = '[0,0,3]' ]
}

@test "apply: comments, blank lines, tabs, CR, a last line without newline, standard input" {
	printf '# rules\n\n \t \n\ttcp  dst\t10.0.0.1 pass # here\r\n#tcp dst 1.1.1.1 pass\nudp dst 10.0.0.1 to 127.0.0.1:9 service a#b' |
		tr -d '\000' >"$RULES"
	sed -i 's/a#b/a/' "$RULES"
	[ "$(applied "$RULES")" = '[2,0,0]' ]
	[ "$(applied - <"$RULES")" = '[0,0,0]' ]
	[ "$(shunt save rules | grep -v '^#')" = $'tcp dst 10.0.0.1 pass\nudp dst 10.0.0.1 to 127.0.0.1:9 service a' ]
}

# What is wrong in a line, and the word that the message names.
bad_lines()
{
	cat <<-'END'
		icmp dst 10.0.0.1 pass|icmp
		TCP dst 10.0.0.1 pass|TCP
		dst 10.0.0.1 pass|dst
		tcp|dst
		tcp pass|dst
		tcp to 127.0.0.1:9|dst
		tcp dst|dst
		tcp dst pass|pass
		tcp dst 10.0.0.300 pass|10.0.0.300
		tcp dst 10.0.0 pass|10.0.0
		tcp dst 10.0.0.0.0 pass|10.0.0.0.0
		tcp dst host.example pass|host.example
		tcp dst 10.0.0.1/33 pass|10.0.0.1/33
		tcp dst 10.0.0.1/-1 pass|10.0.0.1/-1
		tcp dst 10.0.0.1/ pass|10.0.0.1/
		tcp dst 10.0.0.1/x pass|10.0.0.1/x
		tcp dst 10.0.0.1/8 pass|10.0.0.0/8
		tcp dst fd00::1/129 pass|fd00::1/129
		tcp dst fd00::1/64 pass|fd00::/64
		tcp dst fd00:::1 pass|fd00:::1
		tcp dst [fd00::1] pass|[fd00::1]
		tcp dst 10.0.0.1 dst 10.0.0.2 pass|dst
		tcp dst 10.0.0.1 dport pass|pass
		tcp dst 10.0.0.1 dport 0 pass|0
		tcp dst 10.0.0.1 dport 65536 pass|65536
		tcp dst 10.0.0.1 dport 70000 pass|70000
		tcp dst 10.0.0.1 dport -5 pass|-5
		tcp dst 10.0.0.1 dport 5- pass|5-
		tcp dst 10.0.0.1 dport 90-80 pass|90-80
		tcp dst 10.0.0.1 dport 80-90-100 pass|80-90-100
		tcp dst 10.0.0.1 dport 80,90 pass|80,90
		tcp dst 10.0.0.1 dport http pass|http
		tcp dst 10.0.0.1 dport 80 dport 81 pass|dport
		tcp dst 10.0.0.1 sport 0x50 pass|0x50
		tcp dst 10.0.0.1 sport 65536-65537 pass|65536-65537
		tcp dst 10.0.0.1 src 10.0.0.1/24 pass|10.0.0.0/24
		tcp dst 10.0.0.1 src fd00::1 pass|fd00::1
		tcp dst fd00::1 src 10.0.0.1 pass|10.0.0.1
		tcp dst 10.0.0.1 src pass|pass
		tcp dst 10.0.0.1 iface no/such pass|no/such
		tcp dst 10.0.0.1 iface an-interface-name-too-long pass|an-interface-name-too-long
		tcp dst 10.0.0.1 iface|iface
		tcp dst 10.0.0.1 to 127.0.0.1|127.0.0.1
		tcp dst 10.0.0.1 to 127.0.0.1:0|127.0.0.1:0
		tcp dst 10.0.0.1 to 127.0.0.1:|127.0.0.1:
		tcp dst 10.0.0.1 to 127.0.0.1:99999|127.0.0.1:99999
		tcp dst 10.0.0.1 to [::1]:9|[::1]:9
		tcp dst fd00::1 to 127.0.0.1:9|127.0.0.1:9
		tcp dst fd00::1 to ::1:9|::1:9
		tcp dst fd00::1 to [::1|[::1
		tcp dst 10.0.0.1 to localhost:9|localhost:9
		tcp dst 10.0.0.1 to 127.0.0.1:9 pass|127.0.0.1:9
		tcp dst 10.0.0.1 to 0.0.0.0:99|0.0.0.0:99
		udp dst 10.0.0.1 to 224.0.0.1:99|224.0.0.1:99
		tcp dst fd00::1 to [::]:99|[::]:99
		tcp dst 10.0.0.0/08 pass|10.0.0.0/08
		tcp dst 10.0.0.1 dport 00080 pass|00080
		tcp dst 10.0.0.1 iface eth* pass|eth*
		tcp dst 10.0.0.1|to
		tcp dst 10.0.0.1 drop|drop
		tcp dst 10.0.0.1 pass pass|pass
		tcp dst 10.0.0.1 pass service|service
		tcp dst 10.0.0.1 pass service a/b|a/b
		tcp dst 10.0.0.1 pass service 01234567890123456789012345678901|01234567890123456789012345678901
		tcp dst 10.0.0.1 pass service a service b|service
		shunt steer add tcp dst 10.0.0.1 pass|shunt
		iface|iface
		iface lo eth0|eth0
		cgroup a b|b
		; tcp dst 10.0.0.1 pass|;
		tcp dst 10.0.0.7 pass|line 1
		tcp dst 10.0.0.7/32 dport 1-65535 to 127.0.0.1:9|line 1
	END
}

@test "apply: 70 kinds of errors: each names file, line and word, and changes nothing" {
	local line word before count=0

	shunt steer add tcp dst 10.9.9.9 pass
	before=$(shunt save)
	while IFS='|' read -r line word; do
		printf 'tcp dst 10.0.0.7 pass\n# second\n%s\ntcp dst 10.0.0.8 pass\n' "$line" >"$RULES"
		echo "# $line"
		run -2 shunt apply "$RULES"
		[[ $output == "shunt: $RULES:3: "*"$word"* ]]
		count=$((count + 1))
	done < <(bad_lines)
	[ $count -ge 70 ]
	[ "$(shunt save)" = "$before" ]
}

@test "apply: files that can't be rules: a zero byte, a long line, a folder, no file, no permission" {
	printf 'tcp dst 10.0.0.1 \0 pass\n' >"$RULES"
	run -2 shunt apply "$RULES"
	[[ $output == *"$RULES:1: "* ]]
	printf 'tcp %0100d\n' 0 | sed 's/0/dst 10.0.0.1 /g' >"$RULES"
	run -2 shunt apply "$RULES"
	[[ $output == *"$RULES:1: "* ]]
	run -1 shunt apply "$BATS_TEST_TMPDIR"
	[[ $output == *"$BATS_TEST_TMPDIR"* ]]
	run -1 shunt apply "$RULES.none"
	[[ $output == *"$RULES.none"* ]]
	run -2 shunt apply
	run -2 shunt apply a b
	run -2 shunt save a
	head -c 100000 /dev/urandom >"$RULES"
	run -2 shunt apply "$RULES"
	[ "$(status steer.rules)" = 0 ]
	shunt -j apply "$RULES" | jq -e .error || shunt -j apply "$RULES.none" | jq -e .error
}

@test "apply: two rules for the same packets: the message names both lines" {
	printf 'tcp dst 10.0.0.1 pass\n\nudp dst 10.0.0.1 pass\ntcp dst 10.0.0.1/32 dport 1-65535 to 127.0.0.1:9\n' >"$RULES"
	run -2 shunt apply "$RULES"
	[[ $output == "shunt: $RULES:4: "*"line 1 "* ]]
}

@test "apply: kill -9 leaves all old rules or all new ones" {
	local i got

	"$PEERS/rules" 2 mixed 3000 0 "$BATS_TEST_TMPDIR"
	shunt apply "$RULES"
	shunt save >"$RULES.a"
	"$PEERS/rules" 3 mixed 3000 0 "$BATS_TEST_TMPDIR"
	shunt apply "$RULES"
	shunt save >"$RULES.b"
	for i in $(seq 40); do
		timeout -s KILL "0.0$((i % 10))$((i * 7 % 10))" "$SHUNT" apply "$RULES.a" 3>&- || true
		got=$(shunt save)
		[ "$got" = "$(cat "$RULES.a")" ] || [ "$got" = "$(cat "$RULES.b")" ]
		shunt apply "$RULES.b"
	done
	[ "$(shunt save)" = "$(cat "$RULES.b")" ]
}

# --- load --config ------------------------------------------------------------

@test "apply: load --config: options and rules" {
	unload
	cat >"$RULES" <<-END
		# a router
		iface lo
		max-rules 10
		mark 0x4000000
		tcp dst 10.0.0.1 dport 80 to 127.0.0.1:9999
		udp dst 10.0.0.1 pass
	END
	shunt load --config "$RULES"
	[ "$(status steer.rules)" = 2 ]
	[ "$(status steer.mark)" = $((0x4000000)) ]
	[ "$(status 'steer.ifaces[0].name')" = lo ]
	# a second time nothing changes, and what was added stays
	shunt steer add tcp dst 10.0.0.2 pass
	shunt load --config "$RULES"
	[ "$(status steer.rules)" = 3 ]
	# apply takes the same file
	[ "$(applied "$RULES")" = '[0,0,1]' ]
}

@test "apply: load --config: errors name the line, and nothing is loaded" {
	local code line

	unload
	while read -r code line; do
		printf 'iface lo\n%s\n' "$line" >"$RULES"
		run "-$code" shunt load --config "$RULES"
		[[ $output == "shunt: $RULES:2: "* ]]
		nothing_pinned
	done <<-END
		1 iface nosuch0
		1 cgroup /nosuch
		2 mark 3
		2 mark x
		2 max-rules 0
		2 tcp dst 10.0.0.1 drop
	END
	echo "tcp dst 10.0.0.1 pass" >"$RULES"
	run ! shunt load --config "$RULES"
	[[ $output == *"--iface"* ]]
	run ! shunt load --iface lo --config "$RULES.none"
	run ! shunt load --iface lo --config
	nothing_pinned
}

# --- many ---------------------------------------------------------------------

many()
{
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		printf "tcp dst 10.%d.%d.%d dport %d to 127.0.0.1:9999 service s%d\n",
			i / 65536, i / 256 % 256, i % 256, 1 + i % 60000, i }'
}

# Prints the bytes of all pinned and inner maps of rules.
map_bytes()
{
	bpftool -j map show 3>&- | jq '[.[] | select(.name == "shunt_store" or .name == "shunt_rule_coun" or
		.name == "shunt_udp_flows") | .bytes_memlock] | add'
}

@test "apply: 100,000 rules at once, in 128 MiB of memory" {
	local seconds
	many 100000 >"$RULES"
	TIMEFORMAT=%U+%S
	seconds=$( { time shunt apply "$RULES" 2>/dev/null; } 2>&1)
	echo "$seconds seconds of CPU time"
	awk -v s="$seconds" 'BEGIN { split(s, t, "+"); exit !(t[1] + t[2] < 2) }'
	[ "$(status steer.rules)" = 100000 ]
	echo "$(map_bytes) bytes"
	[ "$(map_bytes)" -lt $((128 << 20)) ]
	shunt steer test tcp src 1.1.1.1 dst 10.1.134.159 dport $((1 + 99999 % 60000)) | grep 'service s99999$'
	shunt save rules | grep -v '^#' | sort | diff - <(sort "$RULES")
}

# --- NAT rules -----------------------------------------------------------------

applied_nat()
{
	shunt -j apply "$1" | jq -c '.nat | [.added, .changed, .deleted]'
}

nat_rules()
{
	shunt -j nat list | jq -c '[.[] | .proto + " " + .dst + ":" + .dport + " " + .to]'
}

@test "apply: NAT rules: apply, save; rules that stay keep their counters" {
	cat >"$RULES" <<-END
		tcp dst 10.0.0.1 pass
		nat tcp dst 10.0.0.10 dport 80 to 127.0.0.1:8080
		nat udp dst 10.0.0.0/24 to 10.1.0.0/24 # all ports
		nat tcp dst fd00::10 dport 90-99 to [fd00::1]:8090-8099
		iface lo
		nat lo
	END
	shunt apply "$RULES" 2>&1 | grep 'no route to the targets of 2 rules, such as 10.1.0.0;'
	shunt nat flush
	[ "$(applied_nat "$RULES")" = '[3,0,0]' ]
	[ "$(nat_rules)" = '["tcp 10.0.0.10:80 127.0.0.1:8080","udp 10.0.0.0/24:1-65535 10.1.0.0/24","tcp fd00::10:90-99 [fd00::1]:8090-8099"]' ]
	shunt save >"$RULES.saved"
	[ "$(grep -c '^nat [tu]' "$RULES.saved")" = 3 ]
	[ "$(applied_nat "$RULES.saved")" = '[0,0,0]' ]
	shunt apply /dev/null 2>&1 | grep -q '0 NAT rules: 0 added, 0 changed, 3 deleted'
	[ "$(nat_rules)" = '[]' ]
	[ "$(applied "$RULES.saved")" = '[1,0,0]' ]
	diff "$RULES.saved" <(shunt save)
	sed -i -e 's/:8080/:8081/' -e '/udp/d' "$RULES"
	[ "$(applied_nat "$RULES")" = '[0,1,1]' ]
	[ "$(nat_rules)" = '["tcp 10.0.0.10:80 127.0.0.1:8081","tcp fd00::10:90-99 [fd00::1]:8090-8099"]' ]
}

bad_nat_lines()
{
	cat <<-'END'
		nat icmp dst 10.0.0.1 to 10.0.0.2|icmp
		nat tcp dst 10.0.0.1|to
		nat tcp dst 10.0.0.1 to|to
		nat tcp to 10.0.0.1|dst
		nat tcp dst 10.0.0.300 to 10.0.0.2|10.0.0.300
		nat tcp dst 10.0.0.1/24 to 10.0.0.2|10.0.0.0/24
		nat tcp dst 10.0.0.1 dport 0 to 10.0.0.2|0
		nat tcp dst 10.0.0.1 to fd00::1|fd00::1
		nat tcp dst 10.0.0.0/8 to 10.1.0.0/16|10.1.0.0/16
		nat tcp dst 10.0.0.1 dport 80-90 to 10.0.0.2:1-5|10.0.0.2:1-5
		nat tcp dst 10.0.0.1 src 10.0.0.3 to 10.0.0.2|src
		nat tcp dst 10.0.0.1 pass now|pass
		nat|nat
		nat lo eth0|lo
		nat tcp dst 10.0.0.7 dport 1-65535 to 10.0.0.3|line 1
	END
}

@test "apply: errors in NAT rules: each names file, line and word, and changes nothing" {
	local line word before

	shunt nat add tcp dst 10.9.9.9 to 127.0.0.1
	before=$(shunt save)
	while IFS='|' read -r line word; do
		printf 'nat tcp dst 10.0.0.7 to 10.0.0.2\n# second\n%s\ntcp dst 10.0.0.8 pass\n' "$line" >"$RULES"
		echo "# $line"
		run -2 shunt apply "$RULES"
		[[ $output == "shunt: $RULES:3: "*"$word"* ]]
		[ "${#lines[@]}" = 1 ]
	done < <(bad_nat_lines)
	[ "$(shunt save)" = "$before" ]
}

# nat_lines COUNT WORD...: prints COUNT NAT rules
nat_lines()
{
	awk -v n="$1" -v words="${*:2}" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "nat tcp dst 10.%d.%d.%d %s\n", i / 65536, i / 256 % 256, i % 256, words
	}'
}

@test "apply: NAT and steering rules change together, or not at all" {
	local before

	shunt steer add tcp dst 10.9.9.9 pass
	shunt nat add tcp dst 10.0.0.1 to 127.0.0.2
	before=$(shunt save rules)
	# more rules than there is room for
	{ nat_lines 16385 to 127.0.0.1; echo tcp dst 10.9.9.8 pass; } >"$RULES"
	run -1 shunt apply "$RULES"
	[[ $output =~ 'no room for more than 16384 NAT rules' ]]
	[ "$(shunt save rules)" = "$before" ]
	# and more blocks of ports
	{ nat_lines 2500 dport 1-65534 to 127.0.0.1; echo tcp dst 10.9.9.8 pass; } >"$RULES"
	run -1 shunt apply "$RULES"
	[[ $output =~ 'no room for more than 65536 blocks of ports' ]]
	[ "$(shunt save rules)" = "$before" ]
	[ "$(map_entries shunt_nat_match)" = 2 ]
	# steering has no room
	unload
	shunt load --iface lo --max-rules 1
	shunt apply - <<<"$before"
	{ nat_lines 3 to 127.0.0.1; echo tcp dst 10.9.9.8 pass; echo tcp dst 10.9.9.7 pass; } >"$RULES"
	run -1 shunt apply "$RULES"
	[[ $output =~ 'no room' ]]
	[ "$(shunt save rules)" = "$before" ]
}

@test "apply: NAT rules in load --config, with steering and without" {
	printf 'nat tcp dst 10.0.0.10 dport 80 to 127.0.0.1:8080\n' >"$RULES"
	unload
	shunt load --config "$RULES" --iface lo 2>&1 | grep -q '^shunt: 1 NAT rules: 1 added'
	[ "$(status nat.rules)" = 1 ]
	shunt load --config "$RULES" --iface lo 2>&1 | grep -q 'rules of nat are left as they are'
	unload
	run -2 shunt load --config "$RULES" --cgroup "$CGROUP_ROOT"
	[[ $output =~ 'NAT rules, but there is no --nat' ]]
	echo 'nat lo' >>"$RULES"
	shunt load --config "$RULES"
	[ "$(status nat.rules)" = 1 ]
	[ "$(shunt save rules | grep -v '^#')" = 'nat tcp dst 10.0.0.10 dport 80 to 127.0.0.1:8080' ]
	[ "$(applied_nat /dev/null)" = '[0,0,1]' ]
	echo 'tcp dst 10.0.0.1 pass' >>"$RULES"
	run -1 shunt apply "$RULES"
	[[ $output =~ 'steering is not loaded' ]]
	[ "$(status nat.rules)" = 0 ]
}
