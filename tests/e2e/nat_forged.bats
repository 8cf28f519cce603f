#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT and forged packets of an attacker who does not see the connection. nat.bash has the
# hosts; the attacker is near.

load ../lib/nat

bats_require_minimum_version 1.5.0

# validate: turns source validation on, by the kernel (IPv4) or by nftables (IPv6)
validate()
{
	if [ "$family" = 4 ]; then
		sysctl -qw net.ipv4.conf.all.rp_filter=1
	else
		nft -f - <<-END
			table ip6 strict {
				chain prerouting {
					type filter hook prerouting priority raw
					icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
					fib saddr . iif oif missing counter drop
				}
			}
		END
	fi
}

validate_no_more()
{
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	nft destroy table ip6 strict 2>/dev/null || nft delete table ip6 strict 2>/dev/null || true
}

# forge FROM PORT WORD...: near sends these packets to the client, with FROM as the source
forge()
{
	local from

	address "$1"
	from=$REPLY
	address 10.0.0.1
	"${near[@]}" "$PEERS/forge" "$from" "$2" "$REPLY" 40000 "${@:3}"
}

# A client at port 40000 of this host, by NAT to TARGET in PLACE
udp_client()
{
	serve target "$2" udp "$1" 8080
	add udp 10.0.0.10 80 "$1" 8080
	spawn client socat - "UDP$family:$(at 10.0.0.10 80),sourceport=40000"
	wait_for greeted client target
}

end_client()
{
	stop client
	stop target
	wait_for flows 0
	shunt nat flush
}

forged_from_another_interface()
{
	udp_client 10.1.0.2 far
	forge 10.1.0.2 8080 udp unchecked
	said client unchecked
	validate
	forge 10.1.0.2 8080 udp forged
	echoed client "it goes on"
	echoed client "and on"
	run ! has_said client forged
	validate_no_more
	end_client
}

@test "nat: forged answers by another interface: source validation drops them (rp_filter, nft fib)" {
	need nft
	load_quick
	both_families forged_from_another_interface
}

# There are two routes to the target. Answers may take the other one, unless source
# validation is strict.
asymmetric()
{
	"${far[@]}" ip -batch - <<-END
		route replace 10.0.0.1 via 10.2.0.1
		route replace fd00::a00:1 via fd00::a02:1
	END
	udp_client 10.1.0.2 far
	[ "$(shunt -j nat flows | jq -r '.[0].in_packets')" -ge 1 ]
	validate
	tell client strict
	wait_for seen_by_far
	run ! has_said client strict
	validate_no_more
	end_client
}

seen_by_far()
{
	[ "$(shunt -j nat flows | jq -r '.[0].out_packets')" -ge 2 ]
}

@test "nat: answers by a third interface: taken without source validation, dropped with it" {
	need nft
	ip link add h2 type veth peer name f2 netns "${far_file:?}"
	ip -batch - <<-END
		addr add 10.2.0.1/24 dev h2
		addr add fd00::a02:1/120 dev h2 nodad
		link set h2 up
	END
	"${far[@]}" ip -batch - <<-END
		addr add 10.2.0.2/24 dev f2
		addr add fd00::a02:2/120 dev f2 nodad
		link set f2 up
	END
	load_quick --nat h2
	both_families asymmetric
	ip link del h2
}

# goes_on NAME TEXT: the client sends the text until the text comes back
goes_on()
{
	has_said "$@" || { tell "$@"; false; }
}

# For IPv6 the kernel does not drop a forged packet with its own source. No socket takes the
# packet, so the kernel sends an ICMP error to the target on this host. The target's socat ends
# its child and starts a new one, and what the client said meanwhile is lost.
forged_for_this_host()
{
	# shellcheck disable=SC2034 # for serve
	here=()
	udp_client 10.0.0.1 here
	forge 10.0.0.1 8080 udp forged
	wait_for goes_on client "it goes on"
	run ! has_said client forged
	end_client
}

@test "nat: forged answers of a target on this host never come in from outside" {
	load_quick
	both_families forged_for_this_host
}

# A client at port 40000 of this host has a connection to 10.0.0.10:80 that is idle; the
# target is 10.0.0.138:8080 in near. Nobody forges with knowledge of the numbers.
tcp_client()
{
	serve target near tcp 10.0.0.138 8080
	spawn client socat - "TCP$family:$(at 10.0.0.10 80),sourceport=40000,reuseaddr"
	said client target
	echoed client first
}

# forge_blindly FLAGS...: 16 packets each, over the whole range of numbers
forge_blindly()
{
	local flags

	for flags; do
		forge 10.0.0.138 8080 tcp "$flags" 0x01234567 0x07654321 16
	done
}

# Flows that end after a second, and were there after the packets, have ended.
outlived_others()
{
	serve udp near udp 10.0.0.138 8080
	add udp 10.0.0.10 81 10.0.0.138 8080
	answered udp udp 10.0.0.10 81
	wait_for flows 1
	stop udp
	address 10.0.0.10
	shunt nat del udp dst "$REPLY" dport 81
}

blind_reset()
{
	add tcp 10.0.0.10 80 10.0.0.138 8080
	tcp_client
	forge_blindly S SA F FA FPA
	outlived_others
	forge_blindly S SA RF R RA
	# a SYN must not say which number is the next
	forge 10.0.0.138 8080 tcp S 0x01234567 0
	forge 10.0.0.138 8080 tcp R 0x01234568 0
	outlived_others
	echoed client "it goes on"
	end_client
}

@test "nat: a blind RST or FIN with any sequence number ends no NAT flow" {
	load_quick --nat-idle closing=1
	both_families blind_reset
}

# The kernel's own NAT. 'dnat' is a keyword of nft and can't be the name of the table.
@test "nat: control: a blind RST or FIN ends no connection by nft's DNAT" {
	need nft
	nft -f - <<-END || skip "no DNAT by nft on this kernel"
		table ip translated {
			chain output {
				type nat hook output priority -100
				ip daddr 10.0.0.10 tcp dport 80 dnat to 10.0.0.138:8080
			}
		}
	END
	shunt load --iface lo
	tcp_client
	forge_blindly S SA F FA FPA RF R RA
	echoed client "it goes on"
	stop client
	nft delete table ip translated
}

really_ended()
{
	add tcp 10.0.0.10 80 10.0.0.138 8080
	# closed by both ends
	tcp_client
	stop client
	wait_for flows 0
	stop target
	# reset by the target, which closes with unread bytes
	serve target near tcp 10.0.0.138 8080 'echo target; sleep 0.1'
	spawn client socat -u "OPEN:/dev/zero" "TCP$family:$(at 10.0.0.10 80)"
	wait_for ended client
	wait_for flows 0
	stop target
	rm "$BATS_TEST_TMPDIR"/client.*
	# refused: nobody listens
	[ -z "$(ask tcp 10.0.0.10 80)" ]
	wait_for flows 0
	[ "$(status nat.dropped_no_room)" = 0 ]
	shunt nat flush
}

@test "nat: a real RST, FINs of both ends and a refusal end a NAT flow soon" {
	load_quick --nat-idle opening=30
	both_families really_ended
}
