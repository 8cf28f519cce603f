#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What 'make install' puts on a host: where, with which paths, and whether it works.

bats_require_minimum_version 1.5.0
load ../lib/common

setup()
{
	ROOT=$BATS_TEST_TMPDIR/root
	ip link add eth0 type veth peer name far0
	ip link set eth0 up
	mkdir -p "$CGROUP_ROOT/shunt.slice"
}

teardown()
{
	shunt unload >/dev/null 2>&1 || true
	ip link del eth0
	rmdir "$CGROUP_ROOT/shunt.slice"
}

# make_here TARGET [VARIABLE=VALUE...]: quietly, with nothing left to build
make_here()
{
	make -s -C "$PROJECT" "$@" DESTDIR="$ROOT" 3>&- MAKEFLAGS=
}

# installed: files and links below the root, by their paths
installed()
{
	(cd "$ROOT" && find . ! -type d | sort)
}

@test "install: everything goes below DESTDIR, and below PREFIX or /etc/shunt" {
	make_here install PREFIX=/opt/shunt
	installed
	run -1 grep -vE '^\./(opt/shunt/(sbin|lib|share)|etc/shunt)/' <(installed)
	[ "$("$ROOT/opt/shunt/sbin/shunt" version)" = "$(shunt version)" ]
	for name in shunt-diverter map_update map_delete_elem; do
		[ "$(readlink "$ROOT/opt/shunt/sbin/$name")" = shunt ]
	done
	[ -s "$ROOT/opt/shunt/lib/systemd/system/shunt.service" ]
}

@test "install: no file names a path of another PREFIX" {
	make_here install PREFIX=/opt/shunt
	run -1 grep -rnIE '/usr/(local/)?sbin/' "$ROOT/opt/shunt/lib" "$ROOT/opt/shunt/share"
	grep -q '^ExecStart=/opt/shunt/sbin/shunt run' "$ROOT/opt/shunt/lib/systemd/system/shunt.service"
}

@test "install: a configuration that is there stays, and uninstall leaves only that" {
	make_here install
	echo '# mine' >>"$ROOT/etc/shunt/shunt.conf"
	make_here install
	grep -q '^# mine' "$ROOT/etc/shunt/shunt.conf"
	make_here uninstall
	[ "$(installed)" = ./etc/shunt/shunt.conf ]
}

@test "install: uninstall leaves nothing if nobody changed the configuration" {
	make_here install
	make_here uninstall
	[ -z "$(installed)" ]
}

@test "install: load reads each example" {
	local file

	for file in "$PROJECT"/packaging/examples/*.conf; do
		echo "$file"
		sed "s|^cgroup shunt.slice|cgroup $CGROUP_ROOT/shunt.slice|" "$file" >"$BATS_TEST_TMPDIR/conf"
		shunt load --config "$BATS_TEST_TMPDIR/conf"
		shunt unload
	done
}

@test "install: the configuration as installed names nothing; with its '#' taken away, load reads it" {
	run -2 shunt load --config "$PROJECT/packaging/shunt.conf"
	[[ $output == *'nothing to do'* ]]
	sed "s/^#\([a-z]\)/\1/; s|^cgroup shunt.slice|cgroup $CGROUP_ROOT/shunt.slice|" \
		"$PROJECT/packaging/shunt.conf" >"$BATS_TEST_TMPDIR/conf"
	shunt load --config "$BATS_TEST_TMPDIR/conf"
	[ "$(status 'steer.rules')" = 3 ]
}

@test "install: the Debian package has the version of the program" {
	[ "$(sed -n '1s/^shunt (\(.*\)) .*/\1/p' "$PROJECT/packaging/debian/changelog")" = \
		"$(shunt version | cut -d' ' -f2)" ]
}

@test "install: an SBOM names the libraries of the program, with the same bytes each time" {
	command -v dpkg-query >/dev/null || skip "no dpkg here"
	export SOURCE_DATE_EPOCH=0
	"$PROJECT/packaging/sbom" "$SHUNT" >"$BATS_TEST_TMPDIR/sbom"
	diff "$BATS_TEST_TMPDIR/sbom" <("$PROJECT/packaging/sbom" "$SHUNT")
	jq -r '.packages[].name' "$BATS_TEST_TMPDIR/sbom" | grep -q '^libbpf'
	jq -r '.packages[].name' "$BATS_TEST_TMPDIR/sbom" | grep -q '^libmicrohttpd12'
	[ "$(jq -r .creationInfo.created "$BATS_TEST_TMPDIR/sbom")" = 1970-01-01T00:00:00Z ]
}
