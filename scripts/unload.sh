#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Removes everything that load.sh put on the host, once no reader would lose
# bytes. Options are those of 'shunt unload'; without any, --forget.
set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

case ${1:-} in -h | --help | help) exec "$shunt" unload help ;; esac
need_root
[ -x "$shunt" ] || die "'$shunt' is not built; 'make' builds it"
loaded=$("$shunt" -j status | grep -E '"(loaded|draining)":true' || true)
[ $# -gt 0 ] || set -- --forget # for good
"$shunt" unload "$@"
# With words for a part, the rest stays.
! "$shunt" -j status | grep -q '"loaded":true' || exit 0

# When nothing was loaded, it tells why a supervisor ended before.
[ -z "$loaded" ] || rm -f "$log"
if [ ! -e "$made" ]; then
	rmdir "${made%/*}" 2>/dev/null || true
	exit 0
fi
left=
while read -r dir; do
	[ -d "$dir" ] || continue
	rmdir "$dir" 2>/dev/null && continue
	left=1
	echo "unload.sh: cgroup $dir still has processes" \
		"($(paste -sd ' ' "$dir/cgroup.procs")); the next unload.sh removes it" >&2
done <"$made"
[ -n "$left" ] || rm -f "$made"
rmdir "${made%/*}" 2>/dev/null || true
