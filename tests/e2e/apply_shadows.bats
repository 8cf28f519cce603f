#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# apply and the shadowed rules: all of them are as the file says, or nothing has changed.

bats_require_minimum_version 1.5.0
load ../lib/ziti
load ../lib/kills

setup()
{
	need socat
	ip addr add 10.1.2.3/32 dev lo
	shunt load --iface lo --nat lo
	FILE=$BATS_TEST_TMPDIR/file
}

teardown()
{
	end_all
	ip addr del 10.1.2.3/32 dev lo
	clean_up
}

# pair PORT SHADOWS: lines of a rule for this port of 10.1.2.3, and of the rules that it shadows
pair()
{
	local i

	echo "tcp dst 10.1.2.3 dport $1 to 127.0.0.1:33000 service file$1"
	for ((i = 1; i <= $2; i++)); do
		echo "tcp dst 10.1.2.3 dport $1 to 127.0.0.1:$((33000 + i)) service file$1_$i shadowed"
	done
}

# refused CODE MESSAGE: apply of the file says so in one line, and changes nothing
refused()
{
	local before

	before=$(rules; shunt -j nat list)
	run "-$1" shunt apply "$FILE"
	echo "$output"
	[ "${#lines[@]}" = 1 ]
	[[ $output == *"$2"* ]]
	diff <(echo "$before") <(rules; shunt -j nat list)
}

@test "apply: more shadowed rules for the same packets than there is room for: the line is named, and nothing changes" {
	pair 80 2 | shunt apply -
	{
		echo 'nat tcp dst 10.1.2.3 dport 99 to 10.1.2.3:80'
		pair 81 31
		pair 80 32
	} >"$FILE"
	refused 2 "$FILE:66: 'tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33032 service file80_32 shadowed': no room for more than 31 shadowed rules"
	run -2 shunt apply --check "$FILE"
	sed -i '$d' "$FILE"
	shunt apply "$FILE"
	[ "$(rules | grep -c shadowed)" = 62 ]
}

@test "apply: more shadowed rules than there is room for, with those of a router: nothing changes" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	does a add older tcp 10.1.2.3/32 81 81
	does a add newer tcp 10.1.2.3/32 81 81
	{
		echo 'nat tcp dst 10.1.2.3 dport 99 to 10.1.2.3:80'
		pair 80 31
	} >"$FILE"
	refused 1 "no room for more than 31 shadowed rules for the same packets"
	[ "$(via)$(via 10.1.2.3 81)" = webnewer ]
	does a del newer
	[ "$(via 10.1.2.3 81)" = older ]
}

@test "apply: shadowed rules for more packets than there is room for: nothing changes" {
	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add newer tcp 10.1.2.3/32 80 80
	pair 81 3 | shunt apply -
	{
		echo 'nat tcp dst 10.1.2.3 dport 99 to 10.1.2.3:80'
		pair 81 2
		awk 'BEGIN { for (i = 0; i < 8192; i++) {
			rule = sprintf("tcp dst 10.7.%d.%d to 127.0.0.1:", i / 256, i % 256)
			print rule "33001"
			print rule "33002 service old shadowed" } }'
	} >"$FILE"
	refused 1 "no room for shadowed rules for more than 8192 different packets"
	[ "$(via)" = newer ]
	does a del newer
	[ "$(via)" = older ]
}

# has_all_services: those of the router are in force or shadowed
has_all_services()
{
	diff <(printf '%s\n' alone older web) \
		<(services | tr , '\n' | sed 's/ shadowed//' | grep -v '^file' | sort -u)
}

# killed_apply FROM TO: kills 'shunt apply TO' after 'shunt apply FROM' at each point; the same apply ends
# the change
killed_apply()
{
	local name number points after

	shunt apply "$1"
	points=$(changes "$SHUNT" apply "$2")
	after=$(rules)
	echo "$points"
	[ "$(wc -l <<<"$points")" -ge "$3" ]
	while read -r name number; do
		echo "apply $2 killed at $name $number"
		shunt apply "$1"
		killed_at "$name" "$number" "$SHUNT" apply "$2"
		has_all_services
		shunt apply "$2"
		diff <(echo "$after") <(rules)
	done <<<"$points"
}

@test "apply: kill -9 at every point: the rules of a router stay, in force or shadowed" {
	export EVERY_POINT=1

	need strace
	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add web tcp 10.1.2.3/32 80 80
	does a add alone tcp 10.1.2.3/32 81 81
	pair 82 3 >"$FILE.none"
	{
		pair 80 1
		pair 81 0
		pair 82 1
	} >"$FILE.above"
	{
		pair 80 0
		pair 81 2
	} >"$FILE.other"
	killed_apply "$FILE.none" "$FILE.above" 5
	killed_apply "$FILE.above" "$FILE.none" 5
	killed_apply "$FILE.above" "$FILE.other" 5
	killed_apply "$FILE.other" "$FILE.none" 4
	[ "$(via)$(via 10.1.2.3 81)" = webalone ]
	does a del web
	[ "$(via)" = older ]
	does a del older
	does a del alone
	[ "$(services | tr , '\n' | grep -vc '^file')" = 0 ]
}

@test "steer del: the rules that the rule shadows are deleted with it, and those for other packets stay" {
	{
		pair 80 2
		pair 81 1
	} >"$FILE"
	shunt apply "$FILE"
	shunt steer del tcp dst 10.1.2.3 dport 80
	diff <(pair 81 1) <(rules)
	# none of them comes back below a new rule
	shunt steer add tcp dst 10.1.2.3 dport 80 pass
	[ "$(services)" = "file81,file81_1 shadowed" ]
	shunt apply "$FILE"
	diff <(sort "$FILE") <(rules | sort)
}
