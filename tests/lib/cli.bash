# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The command line: runs a command that has to succeed or to fail, and looks at its exit
# code, at what it prints, and at what it changes on the host.
#
# setup_file(), setup(), teardown() and teardown_file() are below.

load ../lib/common

setup_file()
{
	ip link add v0 type veth peer name v1
	ip link set v0 addrgenmode none up
	ip link set v1 addrgenmode none up
}

teardown_file()
{
	ip link del v0
}

setup()
{
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
}

teardown()
{
	local dir

	for dir in /sys/fs/bpf/*/; do
		shunt --pin-dir "${dir%/}" unload
	done
	clean_up
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
	[ -z "${MADE:-}" ] || umount -R /run
}

OUT=$BATS_TEST_TMPDIR/out
ERR=$BATS_TEST_TMPDIR/err

# The command under test; a test may set another.
program=(timeout 30 "$SHUNT")

# host_state: what a load may change
host_state()
{
	ip rule
	ip -6 rule
	ip route show table all | sed 's/ linkdown//'
	ip -6 route show table all | sed 's/ linkdown//'
	tc qdisc
	find /sys/fs/bpf -mindepth 1 -printf '%P %m\n' | sort
}

# state: the same, and what status says
state()
{
	host_state
	shunt -j status
	shunt -j steer list || true
}

# runs CODE WORD...: the program exits with this code. Its output is in $OUT and $ERR.
runs()
{
	local expected=$1 code=0

	"${program[@]}" "${@:2}" >"$OUT" 2>"$ERR" 3>&- || code=$?
	[ $code = "$expected" ] && return
	echo "exit code $code, not $expected: ${program[*]} ${*:2}"
	cat "$OUT" "$ERR"
	return 1
}

one_line()
{
	[ "$(wc -l <"$1")" = 1 ] && grep -qF -- "$2" "$1" && return
	echo "not one line with: $2"
	cat "$1"
	return 1
}

empty()
{
	[ ! -s "$1" ] && return
	echo "not empty: ${1##*/}"
	cat "$1"
	return 1
}

# complains CODE TEXT WORD...: prints one line with the text; with -j as an object
complains()
{
	local text=$2 error

	runs "$1" "${@:3}" || return
	empty "$OUT" || return
	one_line "$ERR" "$text" || return
	grep -q '^shunt: ' "$ERR" || return

	runs "$1" -j "${@:3}" || return
	empty "$ERR" || return
	error=$(jq -r 'if keys == ["error"] then .error else empty end' "$OUT")
	[[ $error == *"$text"* ]] && return
	echo "no error object with: $text"
	cat "$OUT"
	return 1
}

# fails CODE TEXT WORD...: the same, and nothing on the host changes
fails()
{
	local before

	before=$(state)
	quickly complains "$@" && diff <(echo "$before") <(state)
}

# all_fail CODE: reads a line "TEXT | WORD..." for each command that has to fail
all_fail()
{
	local before

	before=$(state)
	quickly all_complain "$1" || return
	diff <(echo "$before") <(state)
}

all_complain()
{
	local text words

	while IFS='|' read -r text words; do
		read -ra words <<<"$words"
		complains "$1" "${text% }" "${words[@]}" || return
	done
}

# says TEXT WORD...: the command succeeds with this text on stderr, with -j without it
says()
{
	runs 0 "${@:2}" || return
	one_line "$ERR" "$1" || return
	runs 0 -j "${@:2}" || return
	empty "$ERR"
}

# warns TEXT WORD...: the command succeeds with this text on stderr, with -j too
warns()
{
	runs 0 "${@:2}" || return
	grep -q "^shunt: warning: .*$1" "$ERR" || return
	runs 0 -j "${@:2}" || return
	one_line "$ERR" "$1"
}

silently()
{
	runs 0 "$@" && empty "$OUT" && empty "$ERR"
}

add_some_rules()
{
	shunt steer add tcp dst 10.1.0.0/16 dport 80-90 to 127.0.0.1:9001
	shunt steer add udp dst fd00::/8 iface v0 pass
}

load_both()
{
	shunt load --iface v0 --cgroup "$CGROUP=eager"
	add_some_rules
}

# The scripts keep notes in /run, which is the test's own.
own_run()
{
	mount -t tmpfs none /run
	program=("$PROJECT/scripts/load.sh")
	MADE=$CGROUP_ROOT/made
	# shellcheck disable=SC2034 # for the tests
	NAME=${MADE#"$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"/}
}
