#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The scripts load.sh, unload.sh, trace.sh and deps.sh.

load ../lib/cli

@test "cli: scripts: help and wrong words" {
	program=("$PROJECT/scripts/load.sh")
	runs 0 --help
	grep -q '^usage: load.sh' "$OUT"
	runs 2 frobnicate
	one_line "$ERR" "'frobnicate'"
	runs 2 --iface
	one_line "$ERR" --iface
	runs 2 --cgroup
	one_line "$ERR" --cgroup
	program=("$PROJECT/scripts/deps.sh")
	runs 2 --frobnicate
	one_line "$ERR" "'--frobnicate'"
}

@test "cli: load.sh --config: only what the file names is attached, and its cgroups are made" {
	local config=$BATS_TEST_TMPDIR/config

	own_run
	printf 'iface v0 # steering\r\ntcp dst 10.0.0.1 pass\n' >"$config"
	runs 0 --config "$config"
	shunt -j status | jq -e '.bypass.cgroups == [] and .steer.ifaces[0].name == "v0"'
	"$PROJECT/scripts/unload.sh"

	printf '#cgroup nope\ncgroup %s=eager\n' "$NAME" >"$config"
	runs 0 --config "$config" --iface v0
	shunt -j status | jq -e --arg path "$MADE" '.steer.ifaces[0].name == "v0" and
		.bypass.cgroups == [{ path: $path, admit: "eager", attached: true, removed: false, gone: false }]'
	"$PROJECT/scripts/unload.sh"
	[ ! -e "$MADE" ]

	echo 'mark 3' >>"$config"
	runs 2 --config "$config"
	grep -qe "--mark '3'" "$ERR"
	[ ! -e "$MADE" ]
	[ ! -e "$PIN_DIR" ]

	runs 1 --config "$config.none"
	one_line "$ERR" "'$config.none'"
	runs 2 --config -
	one_line "$ERR" 'standard input'
}

@test "cli: load.sh: a cgroup in a cgroup; none is left behind, and none is made elsewhere" {
	own_run
	runs 0 --cgroup "$NAME/in/it"
	[ -d "$MADE/in/it" ]
	"$PROJECT/scripts/unload.sh"
	[ ! -e "$MADE" ]
	[ ! -e /run/shunt ]
	runs 2 --cgroup "$NAME/in=fast"
	[ ! -e "$MADE" ]
	runs 1 --cgroup /nowhere/shunt
	one_line "$ERR" "'/nowhere/shunt': not below"
	[ ! -e "${MADE%"$NAME"}/nowhere" ]
	[ ! -e "$PIN_DIR" ]
}

@test "cli: unload.sh: a cgroup with processes stays, until there are none" {
	own_run
	runs 0 --cgroup "$NAME"
	CGROUP=$MADE spawn idle in_cgroup sleep 1000
	wait_for grep -q . "$MADE/cgroup.procs"
	program=("$PROJECT/scripts/unload.sh")
	runs 0
	one_line "$ERR" "cgroup $MADE still has processes"
	[ ! -e "$PIN_DIR" ]
	end_all
	wait_for empty "$MADE/cgroup.procs"
	runs 0
	[ ! -e "$MADE" ]
	[ ! -e /run/shunt ]
}

@test "cli: scripts: no root" {
	local script code scratch left=''

	scratch=$(mktemp -d -p /tmp)
	chmod 777 "$scratch"
	for script in load unload trace verify; do
		code=0
		TMPDIR=$scratch setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$PROJECT/scripts/$script.sh" >"$OUT" 2>"$ERR" || code=$?
		[ $code != 126 ] || skip "nobody can't run the scripts"
		[ $code = 1 ]
		one_line "$ERR" 'needs root'
		! rmdir "$scratch"/* 2>/dev/null || left+=" $script"
	done
	rmdir "$scratch"
	[ -z "$left" ] || { echo "leave a directory behind:$left"; return 1; }
}

@test "cli: scripts: trace.sh ends at a signal, and switches tracing off" {
	program=("$PROJECT/scripts/trace.sh")
	runs 0 --help
	load_both
	spawn trace "${program[@]}"
	wait_for status_is trace = true
	kill "$(cat "$BATS_TEST_TMPDIR/trace.pid")"
	wait_for ended trace
	[ "$(status trace)" = false ]
}

@test "cli: scripts: a second trace.sh leaves the first one's tracing on" {
	program=("$PROJECT/scripts/trace.sh")
	load_both
	spawn trace "${program[@]}"
	wait_for status_is trace = true
	PATIENCE=5 wait_for only_reader || skip "this kernel lets several read trace_pipe"
	runs 1
	grep -q 'another program reads' "$ERR"
	[ "$(status trace)" = true ]
	kill "$(cat "$BATS_TEST_TMPDIR/trace.pid")"
	wait_for ended trace
}

# only_reader: the kernel refuses another reader of trace_pipe by now
only_reader()
{
	! timeout 1 "$SHUNT" trace follow 2>&1 | grep -q . || return 0
	return 1
}

@test "cli: scripts: files with an interpreter line are executable" {
	local file

	for file in "$PROJECT"/{scripts,bench,tests}/* "$PROJECT"/tests/*/{run,sources}; do
		[ -f "$file" ] || continue
		case $file in *.bats | */common.sh) continue ;; esac
		[ "$(head -c 2 "$file" | tr -d '\0')" != '#!' ] || [ -x "$file" ] || { echo "$file"; return 1; }
	done
}

@test "cli: scripts: deps.sh --check only reports" {
	local code=0

	"$PROJECT/scripts/deps.sh" --check >"$OUT" 2>"$ERR" || code=$?
	empty "$ERR"
	# 0 and silent, or 1 and what is missing
	[ $code = "$(grep -c . "$OUT" | sed 's/[1-9][0-9]*/1/')" ]
	[ $code = 0 ] || ! grep -v '^missing: ' "$OUT"
}
