#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT: the command 'shunt nat', where NAT is attached, and metrics. nat.bash has the hosts.

load ../lib/nat

bats_require_minimum_version 1.5.0

# refuses REGEX WORD...: the command exits with 2, prints one line that matches, and
# changes nothing
refuses()
{
	local before

	before=$(shunt nat list)
	run -2 "$SHUNT" nat "${@:2}"
	[ ${#lines[@]} = 1 ]
	[[ $output =~ $1 ]]
	[ "$(shunt nat list)" = "$before" ]
}

@test "nat: wrong words are refused, and nothing changes" {
	shunt load --nat h0
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:8080
	refuses "'icmp'" add icmp dst 10.0.0.10 to 10.0.0.138
	refuses "'10.0.0'" add tcp dst 10.0.0 to 10.0.0.138
	refuses "needs 'dst" add tcp dport 80 to 10.0.0.138
	refuses "needs 'to" add tcp dst 10.0.0.10
	refuses "'0'" add tcp dst 10.0.0.10 dport 0 to 10.0.0.138
	refuses "'x'" add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:x
	refuses 'IPv6' add tcp dst 10.0.0.10 to fd00::1
	refuses '/24' add tcp dst 10.0.0.0/24 to 10.1.0.0/16
	refuses 'as many as dport has' add tcp dst 10.0.0.10 dport 80-90 to 10.0.0.138:1-5
	refuses 'twice' add tcp dst 10.0.0.10 dst 10.0.0.11 to 10.0.0.138
	refuses "'to': a value" add tcp dst 10.0.0.10 to
	refuses "'src'" add tcp dst 10.0.0.10 src 10.0.0.1 to 10.0.0.138
	refuses 'did you mean 10.0.0.0/24' add tcp dst 10.0.0.10/24 to 10.0.0.138
	refuses "'10.0.0.0/08'" add tcp dst 10.0.0.0/08 to 10.0.0.138
	refuses "'00080'" add tcp dst 10.0.0.10 dport 00080 to 10.0.0.138
	refuses "'x'" del tcp dst 10.0.0.10 dport x
}

@test "nat: rules without any effect are refused, and nothing changes" {
	local range=10.0.0.10:80-90

	shunt load --nat h0
	refuses "'to 10.0.0.10'.* nothing would change" add tcp dst 10.0.0.10 dport 80 to 10.0.0.10
	refuses "'to 10.0.0.10:80'.* nothing would change" add tcp dst 10.0.0.10 dport 80 to 10.0.0.10:80
	refuses "'to $range'.* nothing would change" add tcp dst 10.0.0.10 dport 80-90 to $range
	refuses "'to 10.0.0.0/24'.* nothing would change" add udp dst 10.0.0.0/24 to 10.0.0.0/24
	refuses "'to fd00::10'.* nothing would change" add tcp dst fd00::10 to fd00::10
	refuses "'dst 224.0.0.5'.*multicast" add udp dst 224.0.0.5 to 10.0.0.138
	refuses "'dst 239.0.0.0/8'.*multicast" add udp dst 239.0.0.0/8 to 10.0.0.138
	refuses "'to 224.0.0.5:80'.*multicast" add udp dst 10.0.0.10 to 224.0.0.5:80
	refuses "'to \[?ff02::1\]?:80'.*multicast" add udp dst fd00::10 to '[ff02::1]:80'
	refuses "'dst 255.255.255.255'.*broadcast" add udp dst 255.255.255.255 to 10.0.0.138
	refuses "'dst 0.0.0.0'.*no host" add tcp dst 0.0.0.0 to 10.0.0.138
	refuses "'to 0.0.0.0:80'.*no host" add tcp dst 10.0.0.10 to 0.0.0.0:80
	refuses "'dst ::'.*no host" add tcp dst :: to fd00::10
	# these rules have an effect
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.10:8080
	shunt nat add tcp dst 10.0.0.0/24 dport 80-90 to 10.0.0.10:80-90
	shunt nat add udp dst 10.0.0.10 to 10.0.0.10:80
	shunt nat add udp dst 0.0.0.0/0 dport 53 to 10.0.0.138
	[ "$(status nat.rules)" = 4 ]
}

loopback()
{
	serve target here "$1" 127.0.0.1 8080
	shunt nat add "$1" dst 10.0.0.10 dport 80 to 127.0.0.1:8080
	answered target "$1" 10.0.0.10 80
	run -0 "$SHUNT" nat add "$1" dst 127.0.0.5 dport 80 to 127.0.0.1:8080
	[[ ! $output =~ warning ]]
	answered target "$1" 127.0.0.5 80
	stop target
	run -0 "$SHUNT" nat add "$1" dst 127.0.0.6 dport 80 to 10.0.0.138:8080
	[[ $output == *"warning: what this host sends to 127.0.0.6 has a source that can't leave it"* ]]
}

@test "nat: 127.0.0.1 as a target, and as the old destination of a target on this host" {
	# shellcheck disable=SC2034 # for serve
	here=()
	shunt load --nat h0
	loopback tcp
	loopback udp
}

@test "nat: add, list, del and flush, twice each; add reads what list prints" {
	local rules

	shunt load --nat h0
	while read -r words; do
		# shellcheck disable=SC2086 # words
		shunt nat add $words
	done <<-END
		tcp dst 10.0.0.10 dport 80 to 10.0.0.138:8080
		udp dst 10.0.0.0/24 to 10.1.0.0/24
		tcp dst 10.0.0.10 dport 90-99 to 10.0.0.138:8090-8099
		udp dst fd00::a00:a dport 53 to [fd00::a01:2]:5353
		tcp dst fd00::a00:0/120 dport 1-9 to [fd00::a01:0/120]:11-19
	END
	rules=$(shunt nat list | sed 's/ *flows.*//')
	[ "$(wc -l <<<"$rules")" = 5 ]
	while read -r words; do
		# shellcheck disable=SC2086 # words
		shunt nat add $words 2>&1 | grep -q 'already there'
	done <<<"$rules"
	[ "$(shunt nat list | sed 's/ *flows.*//')" = "$rules" ]
	[ "$(shunt -j nat list | jq -c '.[0] | [.proto, .dst, .dport, .to]')" = \
		'["tcp","10.0.0.10","80","10.0.0.138:8080"]' ]
	shunt nat add tcp dst 10.0.0.10 dport 80 to 10.0.0.138:9 2>&1 | grep -q 'replaced by'
	[ "$(status nat.rules)" = 5 ]
	shunt nat del tcp dst 10.0.0.10 dport 80
	shunt nat del tcp dst 10.0.0.10 dport 80 2>&1 | grep -q 'no such rule: tcp dst 10.0.0.10 dport 80;'
	[ "$(status nat.rules)" = 4 ]
	shunt nat flush
	shunt nat flush
	[ "$(status nat.rules)" = 0 ]
	[ "$(map_entries shunt_nat_match)" = 0 ]
}

@test "nat: nat add when not loaded, and when loaded without NAT; the same load again" {
	run -1 "$SHUNT" nat add tcp dst 10.0.0.10 to 10.0.0.138
	[[ $output =~ 'not loaded' ]]
	load_eager
	run -1 "$SHUNT" nat add tcp dst 10.0.0.10 to 10.0.0.138
	[[ $output =~ '--nat' ]]
	unload
	shunt load --nat h0
	shunt nat add tcp dst 10.0.0.10 to 10.1.0.2
	shunt load --nat h0 2>&1 | grep -q 'already loaded'
	[ "$(status nat.rules)" = 1 ]
	run -1 "$SHUNT" load --nat h0 --nat-flows 7
}

@test "nat: a target without a route: a warning, and the rule is added" {
	shunt load --nat h0
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 80 to 192.0.2.1:8080
	[ "$output" = "shunt: warning: this host has no route to the target 192.0.2.1; when it has one, \
add the rule again" ]
	[ "$(status nat.rules)" = 1 ]
	run -0 "$SHUNT" nat add udp dst fd00::a00:a to 2001:db8::1
	[[ $output =~ 'no route to the target 2001:db8::1;' ]]
	ip route add 192.0.2.0/24 via 10.1.0.2
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 80 to 192.0.2.1:8080
	[[ ! $output =~ warning ]]
	run -0 "$SHUNT" nat add tcp dst 10.0.0.10 dport 81 to 10.0.0.1 # this host
	[[ ! $output =~ warning ]]
}

@test "nat: a destination without a route: a warning, and the rule is added" {
	shunt load --nat h0
	run -0 "$SHUNT" nat add tcp dst 192.0.2.1 dport 80 to 10.0.0.138:8080
	[ "$output" = "shunt: warning: this host has no route to the destination 192.0.2.1, and without \
one nothing sent there gets as far as NAT" ]
	[ "$(status nat.rules)" = 1 ]
	printf 'nat tcp dst 192.0.2.%s to 10.0.0.138\n' 1 2 3 | shunt apply - 2>&1 |
		grep 'no route to the destinations of 3 rules, such as 192.0.2.1,'
	# some address of a prefix may have a route
	run -0 "$SHUNT" nat add tcp dst 192.0.0.0/16 dport 80 to 10.0.0.138:8080
	[[ ! $output =~ warning ]]
}

@test "nat: flows without an answer are marked in the list, and counted when they end" {
	load_quick
	add udp 10.0.0.10 80 10.1.0.9 8080 # nobody is there
	nc -u -w 0 10.0.0.10 80 <<<hello
	shunt nat flows | grep 'in 0 packets 0 bytes  idle [0-9]* s  no answer yet$'
	serve target far udp 10.1.0.2 8080
	add udp 10.0.0.10 81 10.1.0.2 8080
	answered target udp 10.0.0.10 81
	[ "$(shunt nat flows | grep -c ' to 10.1.0.2:8080 .*no answer')" = 0 ]
	wait_for flows 0
	[ "$(status nat.unanswered_flows)" = 1 ]
	shunt status | grep '1 ended without an answer'
	metric 'nat_unanswered_flows_total 1'
}

# metric LINE: 'shunt metrics' prints this line
metric()
{
	shunt metrics | grep -Fx "shunt_$1"
}

@test "nat: metrics: the counters of NAT, where it is attached" {
	shunt load --iface h1
	run ! metric 'nat_rules 0'
	serve target near tcp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	metric 'attached{kind="nat",name="h0"} 1'
	metric 'nat_rules 1'
	metric 'nat_flows 1'
	metric 'nat_new_flows_total 1'
	metric 'nat_max_flows 65536'
	metric "nat_rewritten_packets_total $(status nat.rewritten_packets)"
	! command -v promtool >/dev/null || shunt metrics | promtool check metrics
}

@test "nat: attached with the first rule, detached by flush when no flow is left" {
	run -1 "$SHUNT" nat list
	load_quick
	serve target far tcp 10.1.0.2 8080
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(nat_ifaces)" = "h0 h1" ]
	answered target tcp 10.0.0.10 80
	shunt nat flush 2>&1 | grep -q 'stays attached'
	[ "$(nat_ifaces)" = "h0 h1" ]
	wait_for flows 0
	[ -z "$(shunt nat list)" ]
	[ "$(nat_ifaces)" = h0 ]
	nothing_on h1
	# deleting the last rule detaches, also by a file
	add tcp 10.0.0.10 80 10.1.0.2 8080
	shunt nat del tcp dst 10.0.0.10 dport 80
	shunt nat list
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(nat_ifaces)" = "h0 h1" ]
	shunt apply /dev/null
	[ "$(nat_ifaces)" = h0 ]
	add tcp 10.0.0.10 80 10.1.0.2 8080
	answered target tcp 10.0.0.10 80
}

nat_is_on()
{
	[ "$(nat_ifaces)" = "$1" ]
}

@test "nat: the supervisor detaches NAT when the last flow has ended" {
	load_quick
	spawn supervisor "$SHUNT" run
	serve target far tcp 10.1.0.2 8080
	add tcp 10.0.0.10 80 10.1.0.2 8080
	answered target tcp 10.0.0.10 80
	shunt nat flush 2>&1 | grep -q 'stays attached until they have ended'
	wait_for nat_is_on h0
	flows 0
	nothing_on h1
}

@test "nat: an interface that was made again: the same rule again attaches NAT" {
	serve target near tcp 10.0.0.138 8080
	shunt load --iface h1
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	ip link del h0
	[ "$(status 'nat.ifaces | map(select(.name == "h0")) | .[0].attached')" = false ]
	ip link add h0 type veth peer name n0 netns "${near_file:?}"
	ip addr add 10.0.0.1/24 dev h0
	ip link set h0 up
	"${near[@]}" ip addr add 10.0.0.10/24 dev n0
	"${near[@]}" ip addr add 10.0.0.138/24 dev n0
	"${near[@]}" ip link set n0 up
	add tcp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
}
