# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What the scripts share: where things are, and how they complain.

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
shunt=$root/build/shunt
# Which cgroups load.sh made, for unload.sh to remove.
made=/run/shunt/made-cgroup
log=/run/shunt/log

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root"
}

# The mount point of the cgroup2 tree.
cgroup2() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

# wait_for SECONDS COMMAND...: until it succeeds; fails when the time is up.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}
