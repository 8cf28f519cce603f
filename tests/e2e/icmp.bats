#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# ICMP errors about packets of a router reach the router's sockets: path MTU discovery
# works, and closed ports are reported. steer.bash draws the hosts; here there are two
# more:
#
#     far ---- client ---- router ---- beyond ---- deep
#          ^ small MTU                         ^ small MTU
#
# With CONTROL=nft nftables' TPROXY steers, for comparison.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

setup_file()
{
	make_hosts
	netns far
	netns deep
	link_host client far c1 f0 '198.20.0 fd00::c614' '198.18.0.2 fd00::c612:2'
	link_host beyond deep b1 d0 '198.21.0 fd00::c615' '198.19.0.2 fd00::c613:2'
}

setup()
{
	find_hosts
	# shellcheck disable=SC2034 # for ask
	far=(nsenter --net="$BATS_FILE_TMPDIR/netns-far" --)
	deep=(nsenter --net="$BATS_FILE_TMPDIR/netns-deep" --)
	forget_mtus
	# shellcheck disable=SC2046 # words
	load_steer r0 $([ -n "${CONTROL:-}" ] || echo r1)
}

teardown()
{
	tproxy_off
	unwatch_marks 2>/dev/null || true
	"${client[@]}" nft delete table inet deny 2>/dev/null || true
	clean_up_steer
}

# --- the two hosts more ------------------------------------------------------

# link_host PLACE HOST DEV PEER NETS VIA: DEV in PLACE leads to PEER in HOST. NETS and VIA are
# the first parts of the addresses in the new networks, and what the router reaches PLACE by,
# for IPv4 and IPv6.
link_host()
{
	local -n place=$1 host=$2 file=${2}_file
	local net4=${5% *} net6=${5#* } via4=${6% *} via6=${6#* }

	"${place[@]}" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	"${place[@]}" ip -batch - <<-END
		link add $3 type veth peer name $4 netns $file
		addr add $net4.1/24 dev $3
		addr add $net6:1/120 dev $3 nodad
		link set $3 addrgenmode none up
	END
	"${host[@]}" ip -batch - <<-END
		addr add $net4.2/24 dev $4
		addr add $net6:2/120 dev $4 nodad
		link set $4 addrgenmode none up
		route add default via $net4.1
		route add ::/0 via $net6:1
	END
	ip route add "$net4.0/24" via "$via4"
	ip route add "$net6:0/120" via "$via6"
}

# small_mtu: prints a small MTU that the family at hand allows. Below 1280 a device loses
# IPv6.
small_mtu()
{
	[ $family = 4 ] && echo 1000 || echo 1280
}

# shrink PLACE DEV ADDRESS: gives the device a small MTU, and its IPv6 address again
shrink()
{
	local -n place=$1

	"${place[@]}" ip link set "$2" mtu "$(small_mtu)"
	"${place[@]}" ip addr add "$3/120" dev "$2" nodad 2>/dev/null || true
}

shrink_far()
{
	shrink client c1 fd00::c614:1
}

shrink_deep()
{
	shrink beyond b1 fd00::c615:1
}

forget_mtus()
{
	local place

	for place in router client beyond; do
		local -n where=$place
		"${where[@]}" ip route flush cache
		"${where[@]}" ip -6 route flush cache
	done
}

# --- control -----------------------------------------------------------------

# steered PROTO DST DPORT PORT: a rule to that port of the router
steered()
{
	local ip=ip to=127.0.0.1

	if [ -z "${CONTROL:-}" ]; then
		add "$1" dst "$2" dport "$3" to "127.0.0.1:$4"
		return
	fi
	nft list table inet control >/dev/null 2>&1 ||
		tproxy_on 'socket transparent 1 meta mark set 1 accept'
	[ "$family" = 4 ] || ip=ip6 to='[::1]'
	address "$2"
	nft add rule inet control prerouting iifname r0 $ip daddr "$REPLY" "$1" dport "$3" \
		tproxy $ip to "$to:$4" meta mark set 1 accept
}

# errors LEAST: at least that many ICMP errors reached the router
errors()
{
	[ -n "${CONTROL:-}" ] || wait_for counted steered_icmp_errors "$1"
}

# --- path MTU ----------------------------------------------------------------

# checksum COMMAND...: prints the checksum of the command's output
checksum()
{
	"$@" 3>&- | sha256sum
}

# answers_whole PLACE ADDRESS PORT: a client there gets all 300,000 bytes
answers_whole()
{
	local -n where=$1

	endpoint "$2" "$3"
	[ "$(checksum "${where[@]}" timeout 8 socat -u "TCP$family:$REPLY" -)" = \
		"$(checksum head -c 300000 "$(big 1)")" ]
}

serve_bytes()
{
	head -c 300000 "$(big 1)" >"$BATS_TEST_TMPDIR/answer"
	spawn answer4 socat -U TCP4-LISTEN:9004,bind=127.0.0.1,ip-transparent,fork \
		"SYSTEM:cat $BATS_TEST_TMPDIR/answer"
	spawn answer6 socat -U 'TCP6-LISTEN:9006,bind=[::1],ip-transparent,fork' \
		"SYSTEM:cat $BATS_TEST_TMPDIR/answer"
	wait_for listens 9004
	wait_for listens 9006
}

large_answer()
{
	shrink_far
	steered tcp 10.1.2.3 80 $((9000 + family))
	answers_whole far 10.1.2.3 80
	errors 1
}

@test "steer: path MTU: an answer of 300,000 bytes behind a hop of small MTU, fragmentation needed" {
	need socat
	serve_bytes
	each_family large_answer tcp
}

# sends PLACE ADDRESS PORT: sends a datagram, and does not wait for the answer
sends()
{
	local -n where=$1

	address "$2"
	quickly "${where[@]}" bash -c "echo x >/dev/udp/$REPLY/$3"
}

large_datagram_answer()
{
	local before

	shrink_far
	steered udp 10.1.2.3 9001 9001
	before=$(counter steered_icmp_errors)
	# the first answer is lost, and its ICMP error has the MTU
	sends far 10.1.2.3 9001
	errors $((before + 1))
	wait_for from far meets 9001 udp 10.1.2.3 9001 198.20.0.2
}

# For IPv4 the kernel remembers the MTU only of what a connected socket sends from an
# address that is not the host's own (net/ipv4/route.c, __ipv4_sk_update_pmtu). A program
# that asks for errors gets one; others have to connect their sockets.
large_unconnected_answer()
{
	if [ $family = 6 ]; then
		large_datagram_answer
		return
	fi
	shrink_far
	steered udp 10.1.2.3 9001 9001
	wait_for too_long_is_told
}

# The first datagram may come before the supervisor has found the listener.
too_long_is_told()
{
	sends far 10.1.2.3 9001
	grep -q 'error: Message too long' "$BATS_TEST_TMPDIR/router.out"
}

@test "steer: path MTU: datagrams of the router, from a connected socket" {
	serve_router router --connect --pad=1400 9001
	each_family large_datagram_answer udp
}

@test "steer: path MTU: datagrams of the router, from a socket that is not connected" {
	serve_router router --recverr --pad=1400 9001
	each_family large_unconnected_answer udp
}

@test "steer: path MTU: datagrams that the listener itself answers" {
	spawn supervisor "$SHUNT" run
	serve_router router --recverr --direct --pad=1400 9001
	each_family large_unconnected_answer udp
}

@test "steer: path MTU: datagrams with IP options, or an extension header" {
	serve_router router --recverr --options --pad=1400 9001
	each_family large_unconnected_answer udp
}

# The router connects from the client's address, and sends packets that are too large.
large_upload()
{
	local at

	shrink_deep
	steered tcp 198.21.0.2 8$family 9001
	address 198.21.0.2
	at=$REPLY
	[ $family = 4 ] || at="[$at]"
	head -c 300000 "$(big 1)" >"$BATS_TEST_TMPDIR/upload"
	spawn "sink$family" "${deep[@]}" socat -u "TCP$family-LISTEN:8$family" \
		"OPEN:$BATS_TEST_TMPDIR/got$family,creat"
	wait_for listens 8$family "${deep[@]}"
	timeout 8 "${client[@]}" socat -u "OPEN:$BATS_TEST_TMPDIR/upload" "TCP$family:$at:8$family"
	reap "sink$family"
	same_bytes "$BATS_TEST_TMPDIR/upload" "$BATS_TEST_TMPDIR/got$family"
	errors 1
}

@test "steer: path MTU: 300,000 bytes that a router sends on from the client's address" {
	need socat
	spawn router "$PEERS/router" tcp 127.0.0.1 9001 tcp ::1 9001
	said router ready
	each_family large_upload tcp
}

# --- ports that are closed ---------------------------------------------------

# deny: the client's host rejects the answers with an ICMP error
deny()
{
	"${client[@]}" nft -f - <<-END
		table inet deny {
			chain input {
				type filter hook input priority 0
				$1 sport 9001 reject with icmpx type $2
			}
		}
	END
}

port_unreachable()
{
	steered udp 10.1.2.3 9001 9001
	sends client 10.1.2.3 9001
	errors $((family == 4 ? 1 : 2))
	said router 'error: Connection refused'
	: >"$BATS_TEST_TMPDIR/router.out"
}

@test "steer: port unreachable: a connected socket of the router learns it" {
	need nft
	deny udp port-unreachable
	serve_router router --connect 9001
	each_family port_unreachable udp
}

@test "steer: port unreachable: a socket of the flow learns it, also about packets with options" {
	need nft
	deny udp port-unreachable
	serve_router router --recverr --options 9001
	each_family port_unreachable udp
}

@test "steer: port unreachable: a listener that answers itself learns it" {
	need nft
	deny udp port-unreachable
	spawn supervisor "$SHUNT" run
	serve_router router --recverr --direct 9001
	steered udp 10.1.2.3 9001 9001
	wait_for learns_itself 4
	family=6
	steered udp 10.1.2.3 9001 9001
	wait_for learns_itself 6
}

# learns_itself FAMILY: for wait_for, until the supervisor has found the listener
learns_itself()
{
	family=$1
	sends client 10.1.2.3 9001
	grep -q 'error: Connection refused' "$BATS_TEST_TMPDIR/router.out" || return 1
	: >"$BATS_TEST_TMPDIR/router.out"
}

upstream_unreachable()
{
	steered udp 10.1.2.3 7 9001
	sends client 10.1.2.3 7
	said router 'error: Connection refused'
	: >"$BATS_TEST_TMPDIR/router.out"
}

@test "steer: port unreachable: about what a router sends on from the client's address" {
	spawn router "$PEERS/router" udp 127.0.0.1 9001 udp ::1 9001
	said router ready
	each_family upstream_unreachable udp
	errors 2
}

# A program of this host asked, and this host rejects the answer.
local_unreachable()
{
	local before

	add udp dst 10.1.2.3 dport 9001 origin local to 127.0.0.1:9001
	before=$(counter steered_icmp_errors)
	sends router 10.1.2.3 9001
	wait_for counted steered_icmp_errors $((before + 1))
	said router 'error: Connection refused'
	: >"$BATS_TEST_TMPDIR/router.out"
}

@test "steer: port unreachable: about an answer to a program of this host" {
	need nft
	[ -z "${CONTROL:-}" ] || skip "TPROXY is for what comes in"
	reload_steer --iface r0 --iface r1 --router-mark 0x40000
	serve_router router --connect 9001
	nft -f - <<-END
		table inet watch {
			chain input {
				type filter hook input priority 0
				udp sport 9001 reject with icmpx type port-unreachable
			}
		}
	END
	each_family local_unreachable udp
}

# --- what is not the router's ------------------------------------------------

# unreachables PLACE: prints how many ICMP errors of the family at hand that host got
unreachables()
{
	local -n where=$1
	local name=IcmpInDestUnreachs

	[ $family = 4 ] || name=Icmp6InDestUnreachs
	"${where[@]}" nstat -asz $name | awk -v name=$name '$1 == name { print $2 }'
}

has_unreachables()
{
	[ "$(unreachables "$1")" -gt "$2" ]
}

# Another client of the same service, whose flow no rule matches.
forwarded_error()
{
	local before

	add udp dst 10.1.2.3 dport 80 src 198.18.0.3 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 80 198.18.0.3
	before=$(unreachables beyond)
	sends client 10.1.2.3 80
	wait_for has_unreachables beyond "$before"
}

@test "steer: ICMP errors about forwarded flows are forwarded" {
	need nft
	serve_router router 9001
	"${client[@]}" nft -f - <<-END
		table inet deny {
			chain input {
				type filter hook input priority 0
				ip daddr 198.18.0.2 udp sport 80 reject with icmp type port-unreachable
				ip6 daddr fd00::c612:2 udp sport 80 reject with icmpv6 type port-unreachable
			}
		}
	END
	each_family forwarded_error udp
	[ "$(counter steered_icmp_errors)" = 0 ]
}

large_forwarded_answer()
{
	shrink_far
	spawn "bytes$family" "${beyond[@]}" socat -U "TCP$family-LISTEN:8$family,fork" \
		"SYSTEM:cat $BATS_TEST_TMPDIR/answer"
	wait_for listens 8$family "${beyond[@]}"
	answers_whole far 10.1.2.3 8$family
}

@test "steer: path MTU: a forwarded connection, which no rule matches" {
	need socat
	head -c 300000 "$(big 1)" >"$BATS_TEST_TMPDIR/answer"
	each_family large_forwarded_answer tcp
	[ "$(counter steered_icmp_errors)" = 0 ]
}
