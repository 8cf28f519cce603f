#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A rule for everything matches packets for the host's own addresses, too. The host's own
# services, above all ssh, must go on working. The host is the router of steer.bash; "host"
# is a service of it on all addresses.

# shellcheck disable=SC2154 # find_hosts sets client and beyond, ask answer
load ../lib/steer
load ../lib/tproxy

teardown()
{
	sysctl -qw net.ipv4.tcp_syncookies=1 || true
	tproxy_off
	without_wireguard 2>/dev/null || true
	clean_up_steer
}

# serve_host PORT...: services of the host, which are not transparent, on all addresses
serve_host()
{
	local -a sockets

	sockets_at 0.0.0.0 :: "$@"
	serve host router --plain --name host "${sockets[@]}"
}

# counted_own LEAST: at least that many packets are counted as the host's own, for the only
# rule and in all
counted_own()
{
	[ "$(shunt -j steer list | jq 'map(.left_to_own_services) | add')" -ge "$1" ]
	[ "$(counter left_to_own_services)" -ge "$1" ]
}

everything()
{
	add "$1" dst 0.0.0.0/0 to 127.0.0.1:9001
	meets host "$1" 198.18.0.1 80
	# the address of another interface
	meets host "$1" 198.19.0.1 80
	counted_own 2
	# the service listens on all addresses, but not for all hosts
	steers 9001 "$1" 10.1.2.3 80
	steers 9001 "$1" 192.0.2.1 80
	# an address of this host without a service
	steers 9001 "$1" 198.18.0.1 81
}

@test "steer: a rule for everything leaves ssh and the host's other services alone" {
	serve_router router 9001
	serve_host 80
	each_way everything
}

@test "steer: a rule for everything where nothing is forwarded" {
	serve_router router 9001
	serve_host 80
	# of IPv6 the order of the routes would not be the same afterwards
	sysctl -qw net.ipv4.conf.r0.forwarding=0
	everything tcp
	shunt steer flush
	everything udp
	sysctl -qw net.ipv4.conf.r0.forwarding=1
}

# The cookie in an ACK fits any listener that has sent cookies lately: it depends on the addresses and
# on a secret of the host only.
everything_with_cookies()
{
	sysctl -qw net.ipv4.tcp_syncookies=2 || skip "no SYN cookies in this kernel"
	add "$1" dst 0.0.0.0/0 to 127.0.0.1:9001 "${@:2}"
	meets 9001 "$1" 10.1.2.3 80
	meets host "$1" 198.18.0.1 80
	meets 9001 "$1" 10.1.2.3 80
	meets host "$1" 198.19.0.1 80
	sysctl -qw net.ipv4.tcp_syncookies=1
}

everything_with_cookies_or_reset()
{
	everything_with_cookies "$1" unknown reset
}

@test "steer: SYN cookies: the host's own services keep their connections" {
	serve_router router 9001
	serve_host 80
	each_family everything_with_cookies tcp
	each_family everything_with_cookies_or_reset tcp
}

at_one_address()
{
	add "$1" dst 198.0.0.0/8 dport 80-90 to 127.0.0.1:9001
	meets host "$1" 198.18.0.1 80
	steers 9001 "$1" 198.18.0.1 85
	steers 9001 "$1" 198.19.0.1 80
}

@test "steer: a service on one address of the host" {
	serve_router router 9001
	serve host router --plain --name host tcp 198.18.0.1 80 udp 198.18.0.1 80 \
		tcp fd00::c612:1 80 udp fd00::c612:1 80
	each_way at_one_address
}

# A router's reply socket to a UDP service that was not there outlives its coming.
comes_and_goes()
{
	add "$1" dst 0.0.0.0/0 to 127.0.0.1:9001
	steers 9001 "$1" 198.18.0.1 80
	serve_host 80
	meets host "$1" 198.18.0.1 80
	stops host
	steers 9001 "$1" 198.18.0.1 80
}

@test "steer: a service of the host that starts, and stops" {
	serve_router router 9001
	each_family comes_and_goes tcp
}

unconnected()
{
	add udp dst 0.0.0.0/0 to 127.0.0.1:9001
	serve_host 80
	talk "flow$family" udp 198.18.0.1 80
	said "flow$family" via=host
	exchange "flow$family" via=host
	exchange "flow$family" via=host
	# it is asked about once
	[ "$(shunt -j steer list | jq '.[0].left_to_own_services')" = 1 ]
	[ "$(shunt -j steer list | jq '.[0].packets')" = 3 ]
	stops host
	exchange "flow$family" via=9001
}

@test "steer: a flow to an unconnected UDP service of the host stays with it until it ends" {
	serve_router router 9001
	each_family unconnected udp
}

large()
{
	add udp dst 0.0.0.0/0 to 127.0.0.1:9001
	ask --size 3000 udp 198.18.0.1 80
	[[ $answer == *via=host* ]]
	ask --size 3000 udp 198.18.0.1 80
	[[ $answer == *via=host* ]]
	counted_own 2
}

@test "steer: fragmented datagrams for a service of the host, with the supervisor" {
	serve_router router 9001
	serve_host 80
	supervise
	each_family large udp
}

# wireguard: a tunnel from the client (10.99.0.2) to the router (10.99.0.1); either end may
# begin.
wireguard()
{
	local dir=$BATS_TEST_TMPDIR

	wg genkey >"$dir/router.key"
	wg genkey >"$dir/client.key"
	"${client[@]}" ip link add wg0 type wireguard || skip "no WireGuard in this kernel"
	ip link add wg0 type wireguard
	endpoint 198.18.0.1 51820
	"${client[@]}" wg set wg0 listen-port 51820 private-key "$dir/client.key" \
		peer "$(wg pubkey <"$dir/router.key")" allowed-ips 10.99.0.1/32,10.1.2.3/32 endpoint "$REPLY"
	endpoint 198.18.0.2 51820
	wg set wg0 listen-port 51820 private-key "$dir/router.key" \
		peer "$(wg pubkey <"$dir/client.key")" allowed-ips 10.99.0.2/32 endpoint "$REPLY"
	ip addr add 10.99.0.1/24 dev wg0
	ip link set wg0 up
	"${client[@]}" ip addr add 10.99.0.2/24 dev wg0
	"${client[@]}" ip link set wg0 up
	"${client[@]}" ip route add 10.1.2.3 dev wg0
}

without_wireguard()
{
	"${client[@]}" ip link del wg0
	ip link del wg0
}

# refused_by PLACE ADDRESS: the host at that address refuses a connection
refused_by()
{
	local -n where=$1
	local status=0

	"${where[@]}" timeout 15 bash -c ": <>/dev/tcp/$2/81" || status=$?
	[ $status = 1 ]
}

tunnels()
{
	local family=$family

	wireguard
	reload_steer --iface r0 --iface wg0
	add udp dst 0.0.0.0/0 to 127.0.0.1:9001
	refused_by "$begins" "$other"
	counted_own 1
	family=4
	shunt steer add udp dst 10.0.0.0/8 to 127.0.0.1:9001
	meets 9001 udp 10.1.2.3 80 10.99.0.2
	without_wireguard
}

@test "steer: a rule for all UDP leaves the host's WireGuard alone" {
	need wg
	serve_router router 9001
	begins=client other=10.99.0.1 each_family tunnels udp
	begins=router other=10.99.0.2 each_family tunnels udp
}

words()
{
	local service=198.18.0.1

	add "$1" dst $service dport 80 to 127.0.0.1:9001 own keep
	meets host "$1" $service 80
	del "$1" dst $service dport 80
	add "$1" dst 0.0.0.0/0 dport 80 to 127.0.0.1:9001 own keep
	meets host "$1" $service 80
	add "$1" dst 0.0.0.0/0 dport 80 to 127.0.0.1:9001 own take
	meets 9001 "$1" $service 80
	# a rule for this address alone means it
	add "$1" dst $service dport 81 to 127.0.0.1:9001
	steers 9001 "$1" $service 81
}

@test "steer: a rule for a single address takes the host's services; own take, own keep" {
	serve_router router 9001
	serve_host 80 81
	each_way words
}

@test "steer: own: steer test, list, save and apply know the word" {
	serve_host 80
	shunt steer add tcp dst 0.0.0.0/0 to 127.0.0.1:9001
	shunt steer test tcp src 198.18.0.2 dst 198.18.0.1:80 | grep 'a service of this host listens'
	shunt -j steer test tcp src 198.18.0.2 dst 198.18.0.1:80 | jq -e .own_service
	shunt -j steer test tcp src 198.18.0.2 dst 10.1.2.3:80 | jq -e '.own_service | not'
	[ "$(shunt -j steer list | jq -r '.[].own')" = keep ]
	[ "$(shunt save rules | grep -v '^#')" = 'tcp dst 0.0.0.0/0 to 127.0.0.1:9001' ]
	shunt steer add tcp dst 0.0.0.0/0 to 127.0.0.1:9001 own take
	[ "$(shunt save rules | grep -v '^#')" = 'tcp dst 0.0.0.0/0 to 127.0.0.1:9001 own take' ]
	shunt -j steer test tcp src 198.18.0.2 dst 198.18.0.1:80 | jq -e '.own_service | not'
	shunt save >"$BATS_TEST_TMPDIR/rules"
	shunt steer flush
	shunt apply "$BATS_TEST_TMPDIR/rules"
	[ "$(shunt -j steer list | jq -r '.[].own')" = take ]
	shunt metrics | grep -x 'shunt_steer_left_to_own_services_total [0-9]*'
}

# said_of TEXT RULE...: 'steer add' prints this text on stderr
said_of()
{
	shunt steer add "${@:2}" 2>&1 >/dev/null | grep -F -- "$1"
}

@test "steer: a wide rule warns that it covers the host's own addresses" {
	said_of "covers 198.18.0.1, an address of this host" tcp dst 0.0.0.0/0 to 127.0.0.1:9001
	said_of "covers fd00::c613:1" tcp dst fd00::c613:0/112 to '[::1]:9001'
	said_of "warning: 'tcp dst 0.0.0.0/0 to 127.0.0.1:9001 own take' takes packets for" \
		tcp dst 0.0.0.0/0 to 127.0.0.1:9001 own take
	said_of "warning: 'tcp dst 198.18.0.1 to 127.0.0.1:9001' takes" tcp dst 198.18.0.1 to 127.0.0.1:9001
	[ -z "$(shunt steer add tcp dst 198.18.0.1 dport 80 to 127.0.0.1:9001 2>&1)" ]
	[ -z "$(shunt steer add tcp dst 10.0.0.0/8 to 127.0.0.1:9001 2>&1)" ]
	[ -z "$(shunt steer add udp dst 0.0.0.0/0 pass 2>&1)" ]
	shunt save >"$BATS_TEST_TMPDIR/rules"
	sed -i 's/pass/to 127.0.0.1:9001/' "$BATS_TEST_TMPDIR/rules"
	shunt apply "$BATS_TEST_TMPDIR/rules" 2>&1 | grep "warning: .*takes packets for"
	shunt apply "$BATS_TEST_TMPDIR/rules" 2>&1 | grep "covers .* (and so do 1 other rules)"
}

on_lo()
{
	add "$1" dst 0.0.0.0/0 origin local to 127.0.0.1:9001
	from router meets host "$1" 127.0.0.1 80 127.0.0.1
	from router meets host "$1" 198.18.0.1 80 198.18.0.1
	from router meets 9001 "$1" 10.1.2.3 80 198.19.0.1
	counted_own 2
}

@test "steer: origin local: what the host sends to its own services on lo" {
	cgroup routers "$CGROUP_ROOT/router"
	reload_steer --iface lo --iface r1
	serve_loopback router routers 9001
	serve_host 80
	each_way on_lo
}

# --- beside TPROXY -------------------------------------------------------------

# tproxy_all [RULE]: TPROXY for all ports, as in Documentation/networking/tproxy.rst of
# the kernel, with this rule before
tproxy_all()
{
	tproxy_on 'iifname != "r0" accept' \
		'meta l4proto tcp socket transparent 1 meta mark set 1 accept' \
		"${1:-}" \
		'meta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:9001 meta mark set 1 accept'
}

# who PROTO ADDRESS PORT: prints which listener answers
who()
{
	quickly ask "$@"
	[[ $answer =~ via=([^ ]*) ]]
	echo "${BASH_REMATCH[1]}"
}

@test "steer: control: TPROXY for everything takes ssh, unless a rule before accepts local addresses" {
	need nft
	serve_router router 9001
	serve_host 80 81
	ask tcp 10.1.2.3 80 # starts the process that asks, which a subshell could not keep
	tproxy_all || skip "no nft tproxy in this kernel"
	[ "$(who tcp 198.18.0.1 80)" = 9001 ]
	[ "$(who udp 198.18.0.1 80)" = 9001 ]
	tproxy_off
	# 'socket wildcard 0' does not match a socket on all addresses
	tproxy_all 'socket wildcard 0 accept'
	[ "$(who tcp 198.18.0.1 80)" = 9001 ]
	tproxy_off
	tproxy_all 'fib daddr type local accept'
	[ "$(who tcp 198.18.0.1 80)" = host ]
	[ "$(who udp 198.18.0.1 81)" = host ]
	[ "$(who tcp 10.1.2.3 80)" = 9001 ]
}
