#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The bench computes medians, ratios and goals right, and its programs work.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	BENCH=$PROJECT/bench
	BUILT=$PROJECT/build/bench
	OUT=$BATS_TEST_TMPDIR/out
	export RESULTS=$BATS_TEST_TMPDIR
	mkdir -p "$CGROUP"
}

teardown()
{
	rmdir "$CGROUP"
}

# summary PART BASELINE: of lines on stdin, with blanks for tabs, '_' for blanks
summary()
{
	tr ' _' '\t ' >"$BATS_TEST_TMPDIR/raw"
	jq -Rn --arg part "$1" --arg baseline "$2" --arg kernel 6.1 --arg cpu some --argjson cpus 2 \
		--argjson load 0 --argjson seconds 1 --arg mode full -L "$BENCH" -f "$BENCH/summary.jq" \
		"$BATS_TEST_TMPDIR/raw" >"$RESULTS/$1.json"
}

# of NAME FILTER: of the contender's entry in the only row
of()
{
	jq -c ".rows[0].contenders.$1 | $2" "$RESULTS/bypass.json"
}

@test "bench: medians, quartiles, and ratios round by round" {
	printf '0 w p50 us %s\n' 'plain 0 10' 'proven 0 5' 'plain 1 20' 'proven 1 12' \
		'plain 2 30' 'proven 2 21' 'plain 3 40' 'plain 4 50' 'proven 4 45' | summary bypass plain
	[ "$(of plain '[.low, .median, .high, .ratio]')" = '[20,30,40,null]' ]
	[ "$(of proven '[.median, .samples]')" = '[12,[5,12,21,null,45]]' ]
	# 0.5, 0.6, 0.7, and 0.9 from the last round; there is none of the fourth
	[ "$(of proven '.ratio | [.low, .median, .high, .unsure]')" = '[0.5,0.6,0.9,true]' ]
}

@test "bench: a ratio that hardly varies is not marked, unless of two rounds" {
	for round in 0 1 2; do
		printf '0 w p50 us %s\n' "plain $round 10" "proven $round 7.$round" "eager $round 9"
	done | summary bypass plain
	[ "$(of proven .ratio.unsure)" = false ]
	"$BENCH/report" bypass >"$OUT"
	grep -q '^w  *10\.0  *7\.10 0\.71±\.01  *9\.00 0\.90±\.00$' "$OUT"
	printf '0 w p50 us %s\n' 'plain 0 10' 'proven 0 7' 'plain 1 10' 'proven 1 7' |
		summary bypass plain
	[ "$(of proven .ratio.unsure)" = true ]
}

# shellcheck disable=SC2016 # not for the shell
@test "bench: the worst row of a goal decides" {
	for round in 0 1 2; do
		printf '0 stream,_64_KiB rate Gbit/s %s\n' "plain $round 10" "eager $round 21"
		printf '0 stream,_1_MiB rate Gbit/s %s\n' "plain $round 10" "eager $round 30"
		printf '0 round_trip,_64_B p50 us %s\n' "plain $round 10" "eager $round 6"
		printf '0 round_trip,_1_KiB p50 us %s\n' "plain $round 10" "eager $round 7"
	done | summary bypass plain
	"$BENCH/report" >"$OUT"
	grep -qxF '| stream, writes of 64 KiB and more, `eager`: throughput | plain TCP | ≥ 2× | 2.10–3.00× | yes |' "$OUT"
	grep -qxF '| request/response up to 1 KiB, `eager`: time | plain TCP | ≤ 0.62× | 0.60–0.70× | no |' "$OUT"
	grep -qxF '| pgbench -S, `proven` | plain TCP | ≥ 1.15× | not measured | |' "$OUT"
}

figures()
{
	timeout 20 "$BUILT/tcp" "$@" -t 0.02 | awk '$3 > 0 { print $1 }' | tr '\n' ' '
}

@test "bench: tcp" {
	local way

	for way in '' -u -p -b; do
		# shellcheck disable=SC2086 # none or one
		[ "$(figures rr -s 20000 $way)" = 'p50 p99 cpu ' ]
		# shellcheck disable=SC2086
		[ "$(figures stream -s 20000 $way)" = 'rate cpu ' ]
	done
	[ "$(figures crr)" = 'turn p50 p99 cpu ' ]
	[ "$(figures rr -n 50 -i 20 -s 20000)" = 'turn p99 cpu ' ]
	# what others free meanwhile may outweigh the memory
	[ "$(figures stall -s 65536 -m 1 | grep -o written)" = written ]
	run -2 "$BUILT/tcp" rr -s 0
	run -2 "$BUILT/tcp" no
}

gone()
{
	! bpftool prog show id "$1" >/dev/null 2>&1
}

@test "bench: the naive program redirects as long as its process is there" {
	local naive id written

	"$BUILT/naive" "$BUILT/naive.bpf.o" "$CGROUP" >"$BATS_TEST_TMPDIR/id" 3>&- &
	naive=$!
	wait_for test -s "$BATS_TEST_TMPDIR/id"
	id=$(cat "$BATS_TEST_TMPDIR/id")
	# far more than TCP would take
	written=$(in_cgroup "$BUILT/tcp" stall -s 65536 -m 64 | awk '/^written/ { print $3 }')
	kill $naive
	wait $naive || true
	[ "$written" = 64.00 ]
	wait_for gone "$id"
}
