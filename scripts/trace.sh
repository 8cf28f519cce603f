#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Prints a line for each pair, bypassed message and steered flow, until
# interrupted; tracing is what it was afterwards.
set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

[ $# = 0 ] || {
	echo "usage: trace.sh: prints a line for each pair, bypassed message and steered flow"
	case $1 in -h | --help | help) exit ;; *) exit 2 ;; esac
}
need_root
[ -x "$shunt" ] || die "'$shunt' is not built; 'make' builds it"
on=$("$shunt" -j status | grep '"trace":true' || true)
"$shunt" trace on
trap 'kill $! 2>/dev/null || true; [ -n "$on" ] || "$shunt" trace off' EXIT
trap 'exit 0' INT TERM
"$shunt" trace follow & # a trap has to wait for what is in the foreground
wait $!
