#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Hosts whose routing looks at the mark of a packet where it looks up the way
# back: src_valid_mark=1 (wg-quick, Tailscale), a reverse path filter of
# nftables or iptables (firewalld, NixOS), tcp_fwmark_accept=1, a mark that is
# restored from connection tracking. See steer.bash for the hosts. CONTROL=1 also
# tries nftables' TPROXY with the same settings.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

# The router runs in a cgroup of its own, for 'origin local'.
setup()
{
	find_hosts
	cgroup routers "$CGROUP_ROOT/router"
	load_steer r0
}

teardown()
{
	tproxy_off
	settings_off
	clean_up_steer
}

settings_off()
{
	local conf

	nft delete table inet rpfilter 2>/dev/null || true
	for conf in all r0 lo; do
		sysctl -qw net.ipv4.conf.$conf.src_valid_mark=0 net.ipv4.conf.$conf.rp_filter=0
	done
	sysctl -qw net.ipv4.tcp_fwmark_accept=0
}

# --- the control -------------------------------------------------------------

# control: prints what TPROXY does, with CONTROL=1. A failure takes three seconds for each
# flow.
control()
{
	[ -n "${CONTROL:-}" ] || return 0
	tproxy_client 'iifname r0'
	tproxy_report
	tproxy_off
}

# --- the flows ---------------------------------------------------------------

steered()
{
	add "$1" dst 10.1.2.3 to 127.0.0.1:9001
	meets 9001 "$1" 10.1.2.3 80
}

# steered_beside_local PROTO: packets of the client and of this host are steered
steered_beside_local()
{
	add "$1" dst 10.1.2.3 origin local to 127.0.0.1:9001
	from router meets 9001 "$1" 10.1.2.3 80 198.19.0.1
	steered "$1"
}

# survives: all flows arrive and are answered with the settings that the test made
survives()
{
	serve_loopback router routers 9001
	control
	each_way steered
	reload_steer --iface r0 --iface r1
	each_way steered_beside_local
}

# --- the settings ------------------------------------------------------------

@test "steer: src_valid_mark=1 for all interfaces, rp_filter=1" {
	sysctl -qw net.ipv4.conf.all.src_valid_mark=1 net.ipv4.conf.all.rp_filter=1
	survives
}

@test "steer: src_valid_mark=1 for all interfaces, rp_filter=2 and 0" {
	sysctl -qw net.ipv4.conf.all.src_valid_mark=1 net.ipv4.conf.all.rp_filter=2
	survives
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	each_way steered_beside_local
}

@test "steer: src_valid_mark=1 for one interface, rp_filter=1" {
	sysctl -qw net.ipv4.conf.r0.src_valid_mark=1 net.ipv4.conf.r0.rp_filter=1
	survives
}

# reverse_path_filter KEY...: as firewalld and NixOS have it. From Linux 6.15 on
# fib looks up what comes in by lo if it has a socket, as with 'origin local'.
reverse_path_filter()
{
	nft -f - <<-END
		table inet rpfilter {
			chain prerouting {
				type filter hook prerouting priority mangle + 10
				iif lo accept
				meta nfproto ipv6 icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
				fib saddr . $* oif missing drop
			}
		}
	END
}

@test "steer: nftables' reverse path filter with the mark, as firewalld and NixOS have it" {
	need nft
	reverse_path_filter mark . iif
	survives
}

@test "steer: nftables' reverse path filter without the mark" {
	need nft
	reverse_path_filter iif
	survives
}

@test "steer: iptables' reverse path filter, with the mark and without" {
	local command option

	need iptables ip6tables
	for option in '' --validmark; do
		for command in iptables ip6tables; do
			# shellcheck disable=SC2086 # no word, or one
			$command -t mangle -A PREROUTING -m rpfilter $option --invert -j DROP ||
				skip "no rpfilter match in this kernel"
		done
		survives
		for command in iptables ip6tables; do
			$command -t mangle -F PREROUTING
		done
		stops router
		reload_steer --iface r0
	done
}

@test "steer: tcp_fwmark_accept=1" {
	sysctl -qw net.ipv4.tcp_fwmark_accept=1 || skip "not in this kernel"
	survives
}

# As those do who mark connections for policy routing or shaping.
@test "steer: a connection mark that is restored to the answers (CONNMARK)" {
	need nft
	nft -f - <<-END
		table inet rpfilter {
			chain prerouting {
				type filter hook prerouting priority mangle
				ct mark set meta mark
			}
			chain output {
				type route hook output priority mangle
				meta mark set ct mark
			}
		}
	END
	survives
}

@test "steer: src_valid_mark, rp_filter, a reverse path filter, tcp_fwmark_accept and a connection mark at once" {
	need nft
	sysctl -qw net.ipv4.conf.all.src_valid_mark=1 net.ipv4.conf.all.rp_filter=1
	sysctl -qw net.ipv4.tcp_fwmark_accept=1 || true
	reverse_path_filter mark . iif
	survives
}
