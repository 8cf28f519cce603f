# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A router that does with services what ziti-router does: peers/ziti.c.

load ../lib/common

# router NAME: starts a router, which runs until it is killed
router()
{
	spawn "$1" "$PEERS/ziti" "${SHUNT%/*}/shunt-diverter"
	said "$1" ready
}

# does NAME WORD...: tells the router what to do, and waits until it has done that
does()
{
	tell "$1" "${@:2}"
	said "$1" "done ${*:2}"
}

crash()
{
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/$1.pid")"
	reap "$1" || true
	rm "$BATS_TEST_TMPDIR/$1".*
}

rules()
{
	shunt save rules | grep -v '^#'
}

# services: prints the services of the rules in force, and of those that they shadow
services()
{
	rules | sed -n 's/.* service \([^ ]*\)/\1/p' | paste -sd,
}

# via [ADDRESS [PORT]]: prints which listener answers by TCP, or nothing
via()
{
	socat -T 5 - "TCP:${1:-10.1.2.3}:${2:-80},connect-timeout=2" </dev/null 2>/dev/null | sed -n 's/.*via=//p'
}

# socat 1.8.1 sends an empty datagram at the end of its input, which is answered, too.
via_udp()
{
	echo | socat -t 5 -T 5 - "UDP:10.1.2.3:${1:-80}" | sed -n 's/.*via=//p' | head -n 1
}

setup()
{
	need socat
	ip addr add 10.1.2.3/32 dev lo
	shunt load --iface lo
}
