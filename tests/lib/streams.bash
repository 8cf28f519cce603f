# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Connections that stream both ways while a test changes something: peers/stream.c.

MIB=$((1 << 20))

# start_streams NAME PORT COUNT [OPTION...]: on this host
start_streams()
{
	spawn "$1-server" peer stream server 127.0.0.1 "$2" -n "$3" "${@:4}"
	said "$1-server" ready
	spawn "$1-client" peer stream client 127.0.0.1 "$2" -n "$3" "${@:4}"
	said "$1-client" ready
}

# sent NAME: bytes that the client has sent so far
sent()
{
	local lines out=$BATS_TEST_TMPDIR/$1-client.out

	lines=$(grep -c stat "$out" || true)
	tell "$1-client" stat
	wait_for more_stats "$1" "$lines"
	sed -n '$s/.*sent=\([0-9]*\).*/\1/p' "$out"
}

more_stats()
{
	[ "$(grep -c stat "$BATS_TEST_TMPDIR/$1-client.out")" -gt "$2" ]
}

has_sent()
{
	[ "$(sent "$1")" -ge "$2" ]
}

# flows_on NAME [MIB]: each connection goes on: so many MiB (64) come from all of them together
flows_on()
{
	wait_for has_sent "$1" $(($(sent "$1") + ${2:-64} * MIB))
}

# end_streams NAME COUNT: the bytes that one side sent on each connection are those the other got, and
# none was wrong (or the peers had failed)
end_streams()
{
	tell "$1-client" stop
	reap "$1-client"
	reap "$1-server"
	diff <(output_of "$1-client" | grep '^[0-9]') <(output_of "$1-server" | grep '^[0-9]')
	[ "$(output_of "$1-client" | grep -c '^[0-9]')" = "$2" ]
}
