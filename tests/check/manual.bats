#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The manual pages say what the program says, and mandoc finds nothing wrong with them.

bats_require_minimum_version 1.5.0
load ../lib/common

setup_file()
{
	make -s -C "$PROJECT" man MAKEFLAGS= 3>&-
}

setup()
{
	command -v mandoc >/dev/null || skip "no mandoc: scripts/deps.sh check"
}

# text PAGE: as a reader sees it, without bold and underlined letters
text()
{
	mandoc -Tascii "$PROJECT/build/man/$1" | sed $'s/.\b//g'
}

@test "manual: mandoc finds nothing" {
	grep -q '^VERSION_CODENAME=bookworm' /etc/os-release || skip "not with the mandoc of Debian 12"
	run "$PROJECT/scripts/check" manual
	echo "$output"
	[ "$status" = 0 ]
}

# has PAGE WORD...
has()
{
	local word shown

	shown=$(text "$1" | tr -s '[:space:]' ' ')
	for word in "${@:2}"; do
		[[ $shown == *"$word"* ]] || { echo "$1 lacks '$word'"; return 1; }
	done
}

# options COMMAND: those that the help names
options()
{
	shunt "$1" help | grep -oE '(^|[ [|])--?[a-zA-Z][a-z-]*' | tr -d ' [|' | sort -u
}

@test "manual: every command and every option of the help has its place" {
	local command
	local -a found

	# shellcheck disable=SC2046 # words
	has shunt.8 $(shunt help | awk '/^  [a-z]/ { print $1 }')
	for command in load unload run metrics; do
		mapfile -t found < <(options $command)
		has shunt.8 "${found[@]}"
	done
	for command in steer nat monitor diverter; do
		mapfile -t found < <(options $command)
		has shunt-$command.8 "${found[@]}"
	done
}

@test "manual: every verb of 'steer' and 'nat' has its place" {
	local command

	for command in steer nat; do
		# shellcheck disable=SC2046 # words
		has shunt-$command.8 $(shunt $command help | awk '/^  [a-z]/ { print $1 }') \
			$(shunt $command help | sed -n '/^RULE/,/^$/p' | grep -oE '[a-z]{2,}' | sort -u)
	done
}

# listed SECTION PAGE: the options of 'load', with their values
listed()
{
	text "$2" | awk -v title="$1" '/^[A-Z]/ { inside = 0 } /^ ? ? ?[A-Z]/ && index($0, title) { inside = 1; next }
		inside && /^     [a-z-]/ { print $1 " " $2 }' | sed 's/ $//'
}

@test "manual: the options of 'load' are those of the help, in their order" {
	diff <(shunt load help | sed -nE 's/^  (--[a-z-]+ ?[A-Z=]*) .*/\1/p' | sed 's/ *$//') \
		<(listed 'OPTIONS OF LOAD' shunt.8 | grep '^--')
}

@test "manual: the options of shunt.conf are those that a file may have" {
	local name count=0

	for name in $(shunt load help | sed -nE 's/^  --([a-z-]+) .*/\1/p'); do
		echo "$name" >"$BATS_TEST_TMPDIR/conf"
		run shunt load --config "$BATS_TEST_TMPDIR/conf"
		echo "$output"
		if [[ $output == *'a value is missing'* ]]; then
			listed Options shunt.conf.5 | grep -q "^$name "
			count=$((count + 1))
		else
			[[ $output == *'neither an option'* ]]
			run -1 grep "^$name " <(listed Options shunt.conf.5)
		fi
	done
	[ "$count" -gt 10 ]
}
