#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The static checks find nothing here, and find what is planted.

bats_require_minimum_version 1.5.0

setup()
{
	# other releases of the tools say other things
	grep -q '^VERSION_CODENAME=bookworm' /etc/os-release || skip "not with the tools of Debian 12"
	"$PROJECT/scripts/deps.sh" --check check >/dev/null 2>&1 ||
		skip "the tools are missing: scripts/deps.sh check"
}

# clean STEP: nothing is found in the sources
clean()
{
	run "$PROJECT/scripts/check" "$1"
	echo "$output"
	[ "$status" = 0 ]
}

# copy: $place is a project with the scripts and a small part of the sources
copy()
{
	place=$BATS_TEST_TMPDIR/project
	mkdir -p "$place/build" "$place/loader/cmd" "$place/tests/unit"
	cp -r "$PROJECT"/{.clang-format,.clang-tidy,include,scripts,tc,sockops,skmsg} "$place"
	cp -r "$PROJECT"/loader/{util,rules} "$place/loader"
	cp "$PROJECT/tests/unit/unit.h" "$place/tests/unit"
	cp "$PROJECT/build/shunt.skel.h" "$place/build"
}

# found STEP TEXT: the step fails in the copy, and names what was planted
found()
{
	run "$place/scripts/check" "$1"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"$2"* ]]
}

@test "check: headers are included downwards only" {
	clean includes
	copy
	sed -i '0,/^#include/s//#include "cmd\/status.h"\n&/' "$place/loader/rules/rule.c"
	found includes '"cmd/status.h": it is on a floor above'
}

@test "check: programs and loader see each other by include/shunt only" {
	copy
	sed -i '0,/^#include/s//#include "rules\/rule.h"\n&/' "$place/tc/rules.h"
	found includes 'tc/rules.h:11: "rules/rule.h": a program includes the loader'
}

@test "check: the sources are formatted" {
	clean format
	[[ $output != *skipped* ]] || skip "it takes the version of clang-format that scripts/check names"
	copy
	sed -i '0,/^void /s//void  /' "$place/tests/unit/unit.h"
	found format 'tests/unit/unit.h'
}

@test "check: words are spelled as dictionaries do" {
	clean spelling
}

@test "check: scripts are clean" {
	clean shell
}

@test "check: cppcheck finds nothing" {
	clean cppcheck
}

@test "check: clang-tidy finds nothing" {
	clean tidy
	copy
	printf 'int twice(int a);\nint twice(int a)\n{\n\treturn a == 1 || a == 1;\n}\n' \
		>>"$place/loader/util/json.c"
	found tidy misc-redundant-expression
}

@test "check: gcc finds no leak" {
	clean analyzer
	copy
	cat >>"$place/loader/util/json.c" <<-'END'
		#include <stdlib.h>
		int leak(void);
		int leak(void)
		{
			char *p = malloc(8);

			return p ? 1 : 0;
		}
	END
	found analyzer 'Werror=analyzer-malloc-leak'
}
