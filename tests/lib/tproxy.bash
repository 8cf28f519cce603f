# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# nftables' TPROXY in the place of shunt, with the policy routing of its manual: the
# controls of some tests show how TPROXY fares on the same host.

# tproxy_on RULE...: with these rules, in the table inet control. Fails if the kernel
# has no TPROXY.
tproxy_on()
{
	nft -f - <<-END || return
		table inet control {
			chain prerouting {
				type filter hook prerouting priority mangle
				$(printf '%s\n' "$@")
			}
		}
	END
	ip -batch - <<<"$TPROXY_ROUTING"
	ip -6 -batch - <<<"$TPROXY_ROUTING"
}

TPROXY_ROUTING='rule add fwmark 1 lookup 100
route add local default dev lo table 100'

# tproxy_off: removes what tproxy_on made. Does nothing if that is gone.
tproxy_off()
{
	local family

	nft delete table inet control 2>/dev/null || return 0
	for family in -4 -6; do
		ip $family rule del fwmark 1 lookup 100
		ip $family route flush table 100
	done
}

# tproxy_client [MATCH]: TPROXY takes what the client sends to 10.1.2.3, and the
# listener at port 9001 gets it.
tproxy_client()
{
	tproxy_on "${1:-} meta nfproto ipv4 meta l4proto { tcp, udp } ip daddr 10.1.2.3 \
			tproxy ip to 127.0.0.1:9001 meta mark set 1" \
		"${1:-} meta nfproto ipv6 meta l4proto { tcp, udp } ip6 daddr fd00::a01:203 \
			tproxy ip6 to [::1]:9001 meta mark set 1"
}

# tproxy_report: prints what the client meets at 10.1.2.3 by each protocol and family.
tproxy_report()
{
	local proto

	for proto in tcp udp; do
		for family in 4 6; do
			ask --from 198.18.0.2 $proto 10.1.2.3 80 || answer=silence
			[[ $answer != *via=9001* ]] || answer=steered
			echo "# TPROXY: $proto, IPv$family: $answer" >&3
		done
	done
	family=4
}
