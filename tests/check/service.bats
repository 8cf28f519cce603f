#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The systemd unit as systemd reads it. No service manager runs here.

bats_require_minimum_version 1.5.0
load ../lib/common

setup_file()
{
	command -v systemd-analyze >/dev/null || return 0
	make -s -C "$PROJECT" install PREFIX="$BATS_FILE_TMPDIR/usr" SYSCONFDIR="$BATS_FILE_TMPDIR/etc" \
		MAKEFLAGS= 3>&-
}

setup()
{
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze: scripts/deps.sh check"
	UNIT=$BATS_FILE_TMPDIR/usr/lib/systemd/system/shunt.service
	EXAMPLES=$BATS_FILE_TMPDIR/usr/share/doc/shunt/examples
}

@test "service: systemd finds nothing wrong in the unit" {
	run systemd-analyze verify --man=no "$UNIT"
	echo "$output"
	[ "$status" = 0 ]
	[ -z "$output" ]
}

@test "service: its exposure is 3.0 at most" {
	# older ones can't judge a file
	systemd-analyze --help | grep -q -- --offline || skip "systemd-analyze has no --offline"
	systemd-analyze security --no-pager --offline=yes --threshold=30 "$UNIT"
}

@test "service: the drop-ins put a router into the slice, behind shunt" {
	local name units=$BATS_TEST_TMPDIR

	for name in ziti-router haproxy squid; do
		printf '[Service]\nExecStart=/bin/true\n' >"$units/$name.service"
		cp -r "$EXAMPLES/$name.service.d" "$units"
		run systemd-analyze verify --man=no "$units/$name.service"
		echo "$output"
		[ "$status" = 0 ]
		[ -z "$output" ]
		grep -qx 'Slice=shunt.slice' "$units/$name.service.d/shunt.conf"
		grep -qx 'After=shunt.service' "$units/$name.service.d/shunt.conf"
		grep -q "^Before=.* $name.service" "$UNIT"
	done
}

@test "service: systemd-sysusers makes the group shunt" {
	command -v systemd-sysusers >/dev/null || skip "no systemd-sysusers: scripts/deps.sh check"
	mkdir -p "$BATS_TEST_TMPDIR/etc"
	systemd-sysusers --root="$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/usr/lib/sysusers.d/shunt.conf"
	grep -q '^shunt:' "$BATS_TEST_TMPDIR/etc/group"
}

teardown()
{
	end_all
	shunt unload >/dev/null 2>&1 || true
	ip link del eth0 2>/dev/null || true
}

@test "service: AppArmor's parser reads the profile that the unit names" {
	local parser=/usr/sbin/apparmor_parser

	[ -x $parser ] || skip "no apparmor_parser: scripts/deps.sh package"
	grep -qx 'AppArmorProfile=-shunt' "$UNIT"
	$parser --skip-kernel-load --skip-cache --names "$PROJECT/packaging/apparmor/shunt" | grep -qx shunt
}

# unit WORD: the words of ExecStartPre=, ExecStart=, … behind the program
unit()
{
	sed -n "s|^$1=[^ ]* ||p" "$UNIT" | sed "s|/[^ ]*/shunt.conf|$BATS_TEST_TMPDIR/conf|"
}

is_ready()
{
	grep -q READY=1 "$BATS_TEST_TMPDIR/notified"
}

@test "service: the commands of the unit load, run, apply and unload" {
	local -a words

	ip link add eth0 type veth peer name far0
	ip link set eth0 up
	printf 'iface eth0\ntcp dst 10.1.0.0/16 to 127.0.0.1:9999\n' >"$BATS_TEST_TMPDIR/conf"
	while read -ra words; do
		shunt "${words[@]}"
	done < <(unit ExecStartPre)
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify
	spawn manager socat -u "UNIX-RECV:$NOTIFY_SOCKET" "CREATE:$BATS_TEST_TMPDIR/notified"
	wait_for test -S "$NOTIFY_SOCKET"
	# shellcheck disable=SC2046
	spawn supervisor "$SHUNT" $(unit ExecStart)
	wait_for is_ready
	echo 'udp dst 10.1.0.0/16 to 127.0.0.1:9999' >>"$BATS_TEST_TMPDIR/conf"
	# shellcheck disable=SC2046
	shunt $(unit ExecReload)
	[ "$(status steer.rules)" = 2 ]
	# shellcheck disable=SC2046
	shunt $(unit ExecStop)
	reap supervisor
	[ ! -e "$PIN_DIR" ]
}
