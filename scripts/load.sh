#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what is missing, builds, makes a cgroup, loads shunt, and starts its
# supervisor.
set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

usage() {
	cat <<END
usage: load.sh [--verify] [--cgroup PATH]... [--iface NAME]... [OPTION VALUE]...

  --verify       then show real traffic bypassed and steered
  --cgroup PATH[=eager]
                 the cgroup to accelerate, below the cgroup2 mount; made if it
                 is missing (default: shunt, unless other things are to be attached);
                 =eager if the programs in it are fit for the fast path
  --config FILE  options, a line for each ('iface eth0'), and rules
  --iface NAME   steer what arrives on this interface, or on those of a pattern
                 ('veth*')
  --nat NAME, --monitor NAME
                 translate, or count, what passes this interface
  OPTION VALUE   any other option of 'shunt load', as --exclude port:5432
END
}

# in_config OPTION|OPTION...: the values that these have in the --config file
in_config() {
	awk -v options="^($1)\$" '
		{ gsub(/\r/, " "); sub(/(^|[ \t])#.*/, "") }
		NF == 2 && $1 ~ options { print $2 }' "$config"
}

# A plain mkdir: not every version of cgcreate makes one without controllers.
make_cgroup() {
	local mount dir
	mount=$(cgroup2)
	[ -n "$mount" ] || die "no cgroup2 file system is mounted"
	case $1 in
	"$mount"/*) dir=$1 ;;
	/*) die "--cgroup '$1': not below $mount, where cgroup2 is mounted" ;;
	*) dir=$mount/$1 ;;
	esac
	[ ! -d "$dir" ] || return 0
	[ -d "${dir%/*}" ] || make_cgroup "${dir%/*}"
	mkdir "$dir" || die "can't make cgroup '$1'"
	new=("$dir" "${new[@]}") # what is inside goes first
	echo "load.sh: made cgroup $dir"
}

# Without a load they are of no use.
remove_cgroups() {
	for dir in "${new[@]}"; do
		rmdir "$dir" && echo "load.sh: removed cgroup $dir"
	done
}

keep_cgroups() {
	[ ${#new[@]} -gt 0 ] || return 0
	mkdir -p "${made%/*}"
	touch "$made"
	printf '%s\n' "${new[@]}" | cat - "$made" >"$made.new"
	mv "$made.new" "$made"
}

supervised() { "$shunt" -j status | grep -q '"supervised":true'; }

# It ends when shunt is unloaded.
start_supervisor() {
	supervised && return
	mkdir -p "${log%/*}"
	setsid "$shunt" run </dev/null >"$log" 2>&1 &
	wait_for 20 supervised || die "the supervisor does not start: $(cat "$log")"
}

verify=
config=/dev/null
cgroups=()
ifaces=()
args=()
new=()
while [ $# -gt 0 ]; do
	case $1 in
	--verify) verify=1 ;;
	--cgroup | --iface | --nat | --monitor)
		[ $# -gt 1 ] || { echo "load.sh: $1: a value is missing" >&2; exit 2; }
		if [ "$1" = --cgroup ]; then cgroups+=("$2"); else ifaces+=("$1" "$2"); fi
		shift
		;;
	--config | --exclude | --mark | --table | --max-bytes | --max-messages | --host-bytes | \
	--max-rules | --max-flows | --router-cgroup | --router-mark | --nat-flows | --nat-idle)
		[ $# -gt 1 ] || { echo "load.sh: $1: a value is missing" >&2; exit 2; }
		args+=("$1" "$2")
		[ "$1" != --config ] || config=$2
		shift
		;;
	--force) args+=("$1") ;;
	--check) echo "load.sh: --check: load.sh changes the host; use 'shunt load --check'" >&2; exit 2 ;;
	-h | --help | help) usage; exit 0 ;;
	*) echo "load.sh: unknown word '$1'; see load.sh --help" >&2; exit 2 ;;
	esac
	shift
done
[ "$config" != - ] || { echo "load.sh: --config -: standard input can't be read twice" >&2; exit 2; }
[ -r "$config" ] || die "can't read '$config'"
[ ${#cgroups[@]} -gt 0 ] || [ ${#ifaces[@]} -gt 0 ] ||
	[ -n "$(in_config 'cgroup|iface|nat|monitor')" ] || cgroups=(shunt)

need_root
"$root/scripts/deps.sh"
make -s -C "$root" all

trap remove_cgroups EXIT
for cgroup in $(in_config cgroup); do
	make_cgroup "${cgroup%=*}"
done
for cgroup in "${cgroups[@]}"; do
	make_cgroup "${cgroup%=*}"
	args+=(--cgroup "$cgroup")
done
"$shunt" load "${args[@]}" "${ifaces[@]}"
keep_cgroups
trap - EXIT
start_supervisor
"$shunt" status
command -v shunt >/dev/null || echo "load.sh: shunt is $shunt; 'make install' puts it into the path"
[ -z "$verify" ] || "$root/scripts/verify.sh"
