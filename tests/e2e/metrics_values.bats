#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What metrics say: the same as 'status -j', and what real faults do to them and to the alerts.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/metrics

METRICS=$BATS_TEST_TMPDIR/metrics

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
}

teardown()
{
	clean_up_steer
}

# sample LINE: the last output of print has that sample
sample()
{
	grep -qFx -- "$1" "$METRICS" || { echo "no '$1'"; return 1; }
}

print()
{
	shunt metrics --rules >"$METRICS"
}

# judge ALERT SAMPLES: promtool finds these samples of the alert, if those of print stay as they are, but
# grow from 0 where they count.
judge()
{
	command -v promtool >/dev/null || return 0
	{
		printf '%s\n' 'rule_files: [alerts.yml]' 'evaluation_interval: 1m' 'tests:' '  - interval: 1m' \
			'    input_series:'
		grep -v '^#' "$METRICS" | while read -r series; do
			value=${series##* } series=${series% *}
			[[ $series != *_total* ]] || [ "$value" = 0 ] || value="0+$value"
			printf "      - { series: '%s', values: '%sx60' }\n" "$series" "$value"
		done
		printf '%s\n' '    promql_expr_test:' '      - eval_time: 30m' \
			"        expr: count(ALERTS{alertname='$1',alertstate='firing'}) > bool 0" \
			"        exp_samples: [$2]"
	} >"$BATS_TEST_TMPDIR/test.yml"
	cp "$PROJECT/packaging/examples/alerts.yml" "$BATS_TEST_TMPDIR"
	promtool test rules "$BATS_TEST_TMPDIR/test.yml"
}

fires()
{
	judge "$1" "{ labels: '{}', value: 1 }"
}

is_quiet()
{
	judge "$1" ''
}

@test "metrics: promtool finds nothing wrong with all halves loaded, and rules" {
	command -v promtool >/dev/null || skip "no promtool: scripts/deps.sh check"
	shunt load --iface r0 --nat r1 --monitor r0 --cgroup "$CGROUP=eager"
	shunt steer add tcp dst 10.1.0.0/16 dport 80-90 to 127.0.0.1:9999 service web
	shunt steer add udp dst fd00::a00:0/104 to '[::1]:9999'
	serve_metrics --metrics-rules
	get >"$METRICS"
	grep -q '^shunt_nat_max_flows ' "$METRICS"
	grep -q '^shunt_steer_rule_packets_total{' "$METRICS"
	promtool check metrics <"$METRICS"
}

@test "metrics: the values are those of 'status -j'" {
	local half name value count=0

	shunt load --iface r0 --nat r1 --cgroup "$CGROUP=eager"
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
	serve_router tp 9999
	meets 9999 tcp 10.1.2.3 80
	spawn pair peer stall 65536 $((1 << 20))
	said pair stalled
	print
	shunt -j status >"$BATS_TEST_TMPDIR/status"
	while read -r half name value; do
		grep -qE "^shunt_${half}_$name(_total)? $value$" "$METRICS" || { echo "$half $name $value"; return 1; }
		count=$((count + 1))
	done < <(jq -r '{ bypass, steer, nat } | to_entries[] | .key as $half | .value | to_entries[] |
		select((.value | type == "number" or type == "boolean") and
			(.key | IN("active", "mark", "table", "routed") | not)) |
		"\($half) \(.key) \(if .value == true then 1 elif .value == false then 0 else .value end)"' \
		"$BATS_TEST_TMPDIR/status")
	[ $count -gt 50 ]
	sample "shunt_bypass_state_pairs{state=\"active\"} $(jq .bypass.pair_states.active "$BATS_TEST_TMPDIR/status")"
	[ "$(jq '.bypass | .pairs == ([.pair_states[]] | add) and .active_pairs == .pair_states.active' \
		"$BATS_TEST_TMPDIR/status")" = true ]
	jq -e '.bypass.queued_bytes > 0 and .steer.steered_packets > 0' "$BATS_TEST_TMPDIR/status"
}

@test "metrics: counters of each rule, and whether its listener is there" {
	local rule='rule="tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999 service web",listener="127.0.0.1:9999",service="web"'

	shunt load --iface r0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999 service web
	shunt steer add tcp dst 10.2.0.0/16 dport 80 to 127.0.0.1:9999
	shunt steer add udp dst 10.1.0.0/16 dport 80 pass
	print
	sample "shunt_steer_rule_flows_total{$rule} 0"
	sample 'shunt_steer_listener_present{protocol="tcp",listener="127.0.0.1:9999"} 0'
	sample 'shunt_steer_listener_rules{protocol="tcp",listener="127.0.0.1:9999"} 2'
	fires ShuntListenerAbsent
	serve_router tp 9999
	meets 9999 tcp 10.1.2.3 80
	print
	sample "shunt_steer_rule_flows_total{$rule} 1"
	sample 'shunt_steer_rule_flows_total{rule="udp dst 10.1.0.0/16 dport 80 pass",listener="",service=""} 0'
	sample 'shunt_steer_listener_present{protocol="tcp",listener="127.0.0.1:9999"} 1'
	[ "$(grep -c '^shunt_steer_listener_present{' "$METRICS")" = 1 ]
	is_quiet ShuntListenerAbsent
	is_quiet ShuntNoListener
	run ! grep -q 'rule=' <(shunt metrics)
}

@test "metrics: 1,000 rules have series, the others are counted" {
	shunt load --iface r0
	seq 0 1004 | awk '{ print "tcp dst 10." int($1 / 250) "." $1 % 250 ".0/24 to 127.0.0.1:" 9000 + $1 % 3 }' |
		shunt apply -
	print
	sample 'shunt_steer_rules 1005'
	sample 'shunt_steer_rules_left_out 5'
	[ "$(grep -c '^shunt_steer_rule_bytes_total{' "$METRICS")" = 1000 ]
	[ "$(grep -c '^shunt_steer_listener_rules{' "$METRICS")" = 3 ]
}

@test "metrics: a rule without a listener: the alert fires" {
	shunt load --iface r0
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
	print
	is_quiet ShuntNoListener
	meets beyond tcp 10.1.2.3 80
	print
	grep -q '^shunt_steer_no_listener_total [1-9]' "$METRICS"
	fires ShuntNoListener
}

@test "metrics: an interface that was detached, a routing rule that is gone: the alerts fire" {
	ip link add gone0 type veth peer name gone1
	ip link set gone0 up
	shunt load --iface gone0
	print
	is_quiet ShuntNotAttached
	is_quiet ShuntRouteMissing
	ip link del gone0
	print
	sample 'shunt_attached{kind="iface",name="gone0"} 0'
	fires ShuntNotAttached
	sample 'shunt_steer_route_present 1'
	ip -4 route flush table 20560
	print
	sample 'shunt_steer_route_present 0'
	fires ShuntRouteMissing
}

@test "metrics: a supervisor that ended: the alert fires" {
	load_eager
	serve_metrics
	print
	sample 'shunt_supervisor_running 1'
	is_quiet ShuntSupervisorGone
	kill -9 "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	wait_for ended supervisor
	print
	sample 'shunt_supervisor_running 0'
	sample 'shunt_bypass_supervised 0'
	fires ShuntSupervisorGone
}

@test "metrics: a table of flows that is full: the alerts fire" {
	shunt load --nat r1 --nat-flows 1024
	shunt nat add udp dst 10.9.9.9 dport 80 to 10.9.9.8:80
	print
	is_quiet ShuntRoomRunsOut
	is_quiet ShuntBoundHit
	"$PEERS/ports" 10.9.9.9 80 10000 3000 3>&-
	print
	grep -qE '^shunt_nat_(evicted_flows|dropped_no_room)_total [1-9]' "$METRICS"
	fires ShuntRoomRunsOut
	fires ShuntBoundHit
}

@test "metrics: an unload that waits for a reader: the alert fires until the bytes are read" {
	local bytes

	load_eager --iface r0
	spawn pair peer stall 65536 $((1 << 20))
	said pair stalled
	print
	sample 'shunt_lingering_bypasses 0'
	bytes=$(status bypass.queued_bytes)
	run -1 shunt unload bypass --timeout 1
	print
	sample 'shunt_lingering_bypasses 1'
	sample 'shunt_draining 1'
	sample "shunt_lingering_bytes $bytes"
	[ "$(status lingering_bypasses)" = 1 ]
	fires ShuntDrainStuck
	end_all
	shunt unload
	print
	fires ShuntNotLoaded
	is_quiet ShuntDrainStuck
}
