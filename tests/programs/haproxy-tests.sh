# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# HAProxy's own tests, one by one. They are short: hardly a pair gets busy.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need haproxy varnishtest
source_of haproxy || give_up "no source of haproxy; tests/programs/sources fetches it"
HAPROXY_PROGRAM=$(command -v haproxy)
export HAPROXY_PROGRAM
while IFS= read -r file; do
	(cd source && timeout -k 5 40 varnishtest -t 20 "$file" >../log 2>&1)
	result "${file#reg-tests/}" "exit $?"
done < <(cd source && find reg-tests -name '*.vtc' | sort | grep -E "${TESTS_OF:-.}")
