#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A pager that does not read on ('shunt steer list | less') holds up no other
# command: output and messages are printed when the lock is free again.

load ../lib/common

# A pipe without room, for output and messages.
setup()
{
	mkdir -p "$CGROUP"
	mkfifo "$BATS_TEST_TMPDIR/pager"
	exec {pager}<>"$BATS_TEST_TMPDIR/pager"
	head -c 65536 /dev/zero >&"$pager"
	# no byte waits in a buffer; some sanitizers do not allow stdbuf
	program=(stdbuf -o0 "$SHUNT")
	"${program[@]}" version 3>&- || program=("$SHUNT")
	loaded=(--cgroup "$CGROUP=eager" --iface lo --nat lo --monitor lo)
	shunt load "${loaded[@]}"
	shunt steer add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:9001
	shunt nat add tcp dst 10.1.2.4 dport 80 to 127.0.0.1:9001
}

teardown()
{
	exec {pager}>&-
	clean_up
}

blocked()
{
	grep -sq pipe_w "/proc/$printing/wchan" || ! kill -0 "$printing" 2>/dev/null
}

# beside WORD...: the command ends while the other one is blocked in printing
beside()
{
	timeout "${PATIENCE:-10}" "$SHUNT" "$@" >"$BATS_TEST_TMPDIR/beside" 2>&1 3>&- && return
	echo "'shunt $*' waits for: ${words[*]}"
	return 1
}

# Empties the pipe until the command has ended. Returns its exit status.
read_on()
{
	local reader status=0

	cat <&"$pager" >"$BATS_TEST_TMPDIR/paged" 3>&- &
	reader=$!
	wait "$printing" || status=$?
	wait_for pipe_is_empty
	kill "$reader"
	wait "$reader" || true
	head -c 65536 /dev/zero >&"$pager"
	[ "$(head -c 65536 "$BATS_TEST_TMPDIR/paged" | tr -d '\0' | wc -c)" = 0 ] || return 1
	tail -c +65537 "$BATS_TEST_TMPDIR/paged" >"$BATS_TEST_TMPDIR/printed"
	return $status
}

pipe_is_empty()
{
	! read -rt 0 -u "$pager"
}

# paged WORD...: shunt prints into the full pipe; other commands work meanwhile
paged()
{
	local -a words=("$@")
	local printing bad=0

	"${program[@]}" "$@" >&"$pager" 2>&1 3>&- &
	printing=$!
	spawned+=("$printing")
	wait_for blocked
	if ! kill -0 $printing 2>/dev/null; then
		echo "printed nothing: $*"
		return 1
	fi
	beside steer add udp dst 10.1.2.5 to 127.0.0.1:9001 &&
		beside diverter -I -c 10.1.2.6 -m 32 -p tcp -l 80 -h 80 -t 9001 || bad=1
	read_on || bad=1
	[ -s "$BATS_TEST_TMPDIR/printed" ] || bad=1
	shunt steer del udp dst 10.1.2.5
	shunt steer del tcp dst 10.1.2.6 dport 80
	[ $bad = 0 ] || cat "$BATS_TEST_TMPDIR/printed"
	return $bad
}

# each_paged: paged() for each line of standard input
each_paged()
{
	local bad=0 line

	while read -ru 9 line; do
		# shellcheck disable=SC2086 # words
		paged $line || bad=1
	done 9<<<"$1"
	return $bad
}

@test "pager: steer list | less, or any other output, holds up no diverter" {
	each_paged "status
		-j status
		metrics
		-j sockets
		steer list
		-j steer list
		steer test tcp src 10.0.0.1 dst 10.1.2.3:80
		-j steer test tcp src 10.0.0.1 dst 10.1.2.3:80
		save
		nat list
		-j nat list
		-j nat flows
		monitor --once
		-j monitor --once
		diverter -L
		diverter -V
		-j diverter -L"
}

@test "pager: a message that nobody reads holds up no other command" {
	shunt save | tee "$BATS_TEST_TMPDIR/rules" | grep -F 10.1.2.3
	shunt trace on
	supervise
	each_paged "load ${loaded[*]}
		steer add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:9001
		steer add tcp dst 10.1.2.3 iface none0 to 127.0.0.1:9001
		steer del tcp dst 10.9.9.9
		steer prune --older-than 0
		nat add tcp dst 10.1.2.4 dport 80 to 127.0.0.1:9001
		nat del tcp dst 10.9.9.9
		apply $BATS_TEST_TMPDIR/rules
		diverter -D -c 10.9.9.9 -m 32 -p tcp -l 80 -h 80
		trace on"
	stops_with 1 run
	program=("${SHUNT%/*}/map_delete_elem")
	paged 10.9.9.9 32
}

# stops_with STATUS WORD...: the same, and the command fails with that status
stops_with()
{
	local status=0

	paged "${@:2}" || status=$?
	[ $status = "$1" ]
}
