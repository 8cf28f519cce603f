# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# iperf3: streams of large and small messages, both ways.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need iperf3 jq
start iperf3 -s -B 127.0.0.1 -p 5299
await 5299
for options in '' '-R' '--bidir' '-P 4' '-l 1K' '-l 512K -P 2' '-N -l 100' '-Z' '-n 200M' '-b 50M'; do
	# shellcheck disable=SC2086 # words
	timeout -k 5 40 iperf3 -J -c 127.0.0.1 -p 5299 -t 2 $options >out.json
	result "iperf3 $options" "exit $?, $(jq -r '.error // "no error"' out.json)"
	figure "iperf3 $options Gbit/s" "$(jq -r '.end.sum_received.bits_per_second / 1e9 * 10 | round / 10' out.json)"
done
