#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Prints a line for each pair, bypassed message and steered flow, until
# interrupted; tracing is off again afterwards.
set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

need_root
[ -x "$shunt" ] || die "'$shunt' is not built; 'make' builds it"
"$shunt" trace on
trap '"$shunt" trace off' EXIT
trap 'exit 0' INT TERM
"$shunt" trace follow
