#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The documents: links lead somewhere, and commands run as printed. Blocks of "sh" are run
# here, one document in one shell; blocks of "shell" need a real machine and are not.

load ../lib/common

setup_file()
{
	# The commands find this test's cgroup as the root of cgroup2, and their own /run and
	# /etc/shunt/shunt.conf.
	CGROUP2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	export CGROUP2
	ip link add eth0 type veth peer name far0
	ip link set eth0 up
	ip link set far0 up
	ip link add eth1 type veth peer name far1
	ip addr add 192.168.1.1/24 dev eth0
	ip route add default via 192.168.1.7
	mount -t tmpfs none /run
	mkdir "$BATS_FILE_TMPDIR/bin" "$BATS_FILE_TMPDIR/etc" "$BATS_FILE_TMPDIR/lib"
	mount --rbind /var/lib "$BATS_FILE_TMPDIR/lib"
	mount -t tmpfs none /var/lib
	mkdir -p /var/lib/prometheus/node-exporter /var/lib/dpkg
	mount --bind "$BATS_FILE_TMPDIR/lib/dpkg" /var/lib/dpkg
	cp -a /etc/. "$BATS_FILE_TMPDIR/etc"
	mount --bind "$BATS_FILE_TMPDIR/etc" /etc
	mkdir -p /etc/shunt
	printf 'iface eth0\ntcp dst 10.1.0.0/16 to 127.0.0.1:9999\n' >/etc/shunt/shunt.conf
	for name in shunt shunt-diverter map_update map_delete_elem; do
		ln -s "$(dirname "$SHUNT")/$name" "$BATS_FILE_TMPDIR/bin/$name"
	done
	# A monitor without --once ends with a signal, as its reader ends it with q.
	rm "$BATS_FILE_TMPDIR/bin/shunt"
	cat >"$BATS_FILE_TMPDIR/bin/shunt" <<-END
		#!/bin/sh
		case "\$*" in
		*--once*) ;;
		monitor* | "trace follow"*) timeout -s INT 2 "$SHUNT" "\$@"; exit 0 ;;
		esac
		exec "$SHUNT" "\$@"
	END
	chmod +x "$BATS_FILE_TMPDIR/bin/shunt"
}

teardown()
{
	shunt unload --timeout 5 >/dev/null 2>&1 || true
}

# blocks LANGUAGE FILE: what stands in such blocks
blocks()
{
	awk -v begin="^\`\`\`$1\$" '/^```/ { inside = $0 ~ begin; next } inside' "$2"
}

# run_blocks FILE: in a cgroup namespace, so that cgroup2's root is this test's cgroup
run_blocks()
{
	blocks sh "$1" >"$BATS_TEST_TMPDIR/script"
	mkdir -p "$CGROUP_ROOT/docs"
	(
		cd "$PROJECT"
		export PATH=$BATS_FILE_TMPDIR/bin:$PATH
		echo "$BASHPID" >"$CGROUP_ROOT/docs/cgroup.procs"
		unshare -C -m bash -c "umount -l '$CGROUP2' && mount -t cgroup2 none '$CGROUP2' &&
			exec timeout 100 bash -eux '$BATS_TEST_TMPDIR/script'"
	) >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- </dev/null && return
	cat "$BATS_TEST_TMPDIR/out"
	return 1
}

# links FILE: the targets of links that are no addresses
links()
{
	grep -o '](\([^)]*\))' "$1" | sed 's/^](//; s/)$//' | grep -v '^[a-z]*://' || true
}

# anchors FILE: of its headings, as GitHub makes them
anchors()
{
	grep '^#' "$1" | sed 's/^#* //' | tr '[:upper:]' '[:lower:]' |
		sed "s/[^a-z0-9 _-]//g; s/ /-/g"
}

link_leads_somewhere()
{
	local file=$1 link=$2 target=${2%%#*} anchor=

	case $link in *'#'*) anchor=${link#*#} ;; esac
	target=${target:+$(dirname "$file")/$target}
	target=${target:-$file}
	[ -e "$target" ] || return 1
	[ -z "$anchor" ] || anchors "$target" | grep -qx -- "$anchor"
}

teardown_file()
{
	umount -R "$BATS_FILE_TMPDIR/lib" || umount -l "$BATS_FILE_TMPDIR/lib"
	umount -l /etc
}

@test "docs: links lead somewhere" {
	local file link bad=0

	cd "$PROJECT"
	for file in *.md docs/*.md docs/internals/*.md bench/*.md; do
		for link in $(links "$file"); do
			link_leads_somewhere "$file" "$link" || { echo "$file: $link"; bad=1; }
		done
	done
	[ $bad = 0 ]
}

@test "docs: README.md: the commands run as printed" {
	run_blocks README.md
	grep -q 'active (eager): redirected' "$BATS_TEST_TMPDIR/out"
	grep -q '127.0.0.1:9999' "$BATS_TEST_TMPDIR/out"
}

@test "docs: bypass.md: the commands run as printed" {
	run_blocks docs/bypass.md
}

@test "docs: live.md: the commands run as printed" {
	mkdir -p "$CGROUP_ROOT/docs/shunt"
	run_blocks docs/live.md
	grep -q 'iface eth0  tcx\|iface eth0  clsact' "$BATS_TEST_TMPDIR/out"
}

@test "docs: monitor.md: the commands run as printed" {
	run_blocks docs/monitor.md
}

@test "docs: metrics.md: the commands run as printed" {
	run_blocks docs/metrics.md
}

@test "docs: metrics.md: the reference is that of the program" {
	diff <(sed '1,/^## Reference$/d' "$PROJECT/docs/metrics.md") <(shunt metrics --reference)
}

@test "docs: nat.md: the commands run as printed" {
	run_blocks docs/nat.md
}

@test "docs: steering.md: the commands run as printed" {
	run_blocks docs/steering.md
}
