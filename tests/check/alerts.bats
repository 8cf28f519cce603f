#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What is there for Prometheus and Grafana: alert rules, the scrape configuration, a dashboard.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	EXAMPLES=$PROJECT/packaging/examples
}

need_promtool()
{
	command -v promtool >/dev/null || skip "no promtool: scripts/deps.sh check"
}

# known: the names of all metrics
known()
{
	shunt metrics --reference | grep -oE '^\| `shunt_[a-z_]+' | grep -oE 'shunt_.*' | sort -u
}

# named: the names of metrics in standard input
named()
{
	grep -oE '\bshunt_[a-z_]+\b' | sort -u
}

@test "metrics: promtool finds nothing wrong in the alert rules and the configuration" {
	need_promtool
	promtool check rules "$EXAMPLES/alerts.yml"
	promtool check config "$EXAMPLES/prometheus.yml"
}

@test "metrics: each alert fires for its fault, and none without a fault" {
	need_promtool
	promtool test rules "$PROJECT/tests/check/alerts.yml"
}

@test "metrics: each alert has a test" {
	local alert

	while read -r alert; do
		grep -qE "alertname[:=] ?\"?$alert\b" "$PROJECT/tests/check/alerts.yml" || { echo "$alert"; return 1; }
	done < <(sed -n 's/^ *- alert: //p' "$EXAMPLES/alerts.yml")
}

@test "metrics: alert rules and the dashboard name metrics that there are" {
	known >"$BATS_TEST_TMPDIR/known"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/known")" -gt 50 ]
	sed 's/^ *#.*//' "$EXAMPLES/alerts.yml" | named >"$BATS_TEST_TMPDIR/alerts"
	[ -z "$(comm -23 "$BATS_TEST_TMPDIR/alerts" "$BATS_TEST_TMPDIR/known")" ]
	jq -r '.panels[].targets[]?.expr' "$EXAMPLES/grafana-dashboard.json" | named >"$BATS_TEST_TMPDIR/panels"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/panels")" -gt 20 ]
	[ -z "$(comm -23 "$BATS_TEST_TMPDIR/panels" "$BATS_TEST_TMPDIR/known")" ]
}

@test "metrics: the dashboard has panels for each half, whose queries Prometheus can read" {
	local half

	for half in bypass steer nat; do
		jq -e --arg half "shunt_${half}_" 'any(.panels[].targets[]?.expr; contains($half))' \
			"$EXAMPLES/grafana-dashboard.json"
	done
	jq -e '[.panels[].id] | length == (unique | length)' "$EXAMPLES/grafana-dashboard.json"
	need_promtool
	# as rules, with values in the place of Grafana's variables
	# shellcheck disable=SC2016 # Grafana's
	jq '{ groups: [{ name: "panels", rules: [.panels[].targets[]?.expr] | to_entries | map({
		record: "panel:\(.key)", expr: .value | gsub("\\$__rate_interval"; "1m") }) }] }' \
		"$EXAMPLES/grafana-dashboard.json" >"$BATS_TEST_TMPDIR/panels.yml"
	promtool check rules "$BATS_TEST_TMPDIR/panels.yml"
}
