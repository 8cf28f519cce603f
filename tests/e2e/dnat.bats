#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Rules for packets that netfilter translates as well. The socket would get a packet with
# the new destination, and later packets of the client would no longer find it.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

setup()
{
	need nft
	find_hosts
	host_state >"$BATS_TEST_TMPDIR/before"
}

teardown()
{
	nft delete table ip translated 2>/dev/null || true
	tproxy_off
	clean_up_steer
}

# translated TARGET: netfilter translates port 80 to this target
translated()
{
	nft -f - <<-END
		table ip translated {
			chain prerouting {
				type nat hook prerouting priority dstnat
				iifname "r0" tcp dport 80 dnat to $1
			}
		}
	END
}

# ask_dnatted NAME: what the client gets from port 80, in the variable answer
ask_dnatted()
{
	ask tcp 10.1.2.3 80 || true
	echo "# $1, DNAT to $target: $answer"
}

@test "steer: a rule for a DNATed port: the client's TCP does not hang" {
	local target

	serve_router 9001 9001
	for target in 198.19.0.1:8080 198.19.0.2:85 198.19.0.2:8080; do
		translated $target
		if tproxy_on 'iifname "r0" ip daddr 10.1.2.3 tcp dport 80 tproxy ip to 127.0.0.1:9001 meta mark set 1'; then
			ask_dnatted TPROXY
			[ "$answer" = reset ]
			tproxy_off
		fi
		shunt load --iface r0
		shunt steer add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:9001
		ask_dnatted shunt
		# if the new destination is this host, the socket may be found
		[ "$answer" = reset ] || [[ $target == 198.19.0.1:* && $answer == *via=9001* ]]
		shunt unload
		nft delete table ip translated
	done
}
