# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Versions of shunt that take each other's place. tests/next builds them.

# own_version: for setup(): installs the version under test in a place of its own
own_version()
{
	# shellcheck disable=SC2034 # for the tests
	first=$SHUNT
	SHUNT=$BATS_TEST_TMPDIR/bin/shunt
	mkdir -p "${SHUNT%/*}"
	install_version "$first"
}

# install_version PROGRAM: puts another version into the place of the one that is installed
install_version()
{
	install "$1" "$SHUNT"
}

next()
{
	install_version "$PROJECT/build/tests/shunt-next"
}

patched()
{
	install_version "$PROJECT/build/tests/shunt-patch"
}

# The supervisor has begun anew, with the program that is installed.
runs_installed()
{
	[ "$(readlink "/proc/$(cat "$BATS_TEST_TMPDIR/supervisor.pid")/exe")" = "$SHUNT" ]
}
