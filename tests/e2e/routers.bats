#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Real routers and clients. Each router connects to the original destination, from the
# client's address: the service sees both original addresses. steer.bash has the hosts;
# the services are on beyond.

# shellcheck disable=SC2154 # find_hosts sets client and beyond
# shellcheck disable=SC2030,SC2031 # each test has a family of its own
load ../lib/steer

setup_file()
{
	make_hosts
	# services bind to this address
	"${beyond[@]}" ip addr add 10.1.2.3/32 dev lo
	"${beyond[@]}" ip addr add fd00::a01:203/128 dev lo nodad
}

# Answers to the client's address arrive at r1.
setup()
{
	find_hosts
	load_steer r0 r1
}

# carry PORT: adds rules to the router, for both protocols and families
carry()
{
	local family

	for family in 4 6; do
		add tcp dst 10.1.2.3 dport "$1" to 127.0.0.1:9001 2>/dev/null
		add udp dst 10.1.2.3 dport "$1" to 127.0.0.1:9001 2>/dev/null
	done
}

# ziti [OPTION]: starts peers/router.c with the socket options of ziti-router, and like
# ziti-router on 127.0.0.1 only. A second one with the same options carries IPv6.
ziti()
{
	spawn ziti "$PEERS/router" "$@" tcp 127.0.0.1 9001 udp 127.0.0.1 9001
	spawn ipv6 "$PEERS/router" "$@" tcp ::1 9001 udp ::1 9001
	wait_for has_said ipv6 ready
	wait_for has_said ziti ready
	is_running ziti && return
	reap ziti || [ $? != 77 ] || skip "no MPTCP in this kernel"
	return 1
}

listens_beyond()
{
	listens "$1" "${beyond[@]}"
}

# --- services ----------------------------------------------------------------

# web_config FILE: a web server at port 8080. / answers with both addresses of the
# connection, /file with the file.
web_config()
{
	cat <<-END
		global
		tune.bufsize 1500000
		defaults
		mode http
		timeout connect 5s
		timeout client 5s
		timeout server 5s
		frontend web
		bind 0.0.0.0:8080
		bind [::]:8080 v6only
		http-request return status 200 content-type a/b file $1 if { path /file }
		http-request return status 200 content-type text/plain lf-string "%[dst] %[src]"
	END
}

serve_web()
{
	web_config "$(big 1)" >"$BATS_TEST_TMPDIR/web.cfg"
	spawn web "${beyond[@]}" haproxy -db -f "$BATS_TEST_TMPDIR/web.cfg"
	wait_for listens_beyond 8080
}

# get PATH: from 10.1.2.3 in the family at hand
get()
{
	endpoint 10.1.2.3 8080
	"${client[@]}" curl -gsSm 60 --noproxy '*' "http://$REPLY$1"
}

fetches()
{
	local got flows

	flows=$(counter steered_flows)
	got=$(get /)
	echo "$got"
	translate 10.1.2.3 198.18.0.2
	[ "$got" = "${words[*]}" ]
	get /file >"$BATS_TEST_TMPDIR/got"
	cmp "$BATS_TEST_TMPDIR/got" "$BIG"
	[ "$(counter steered_flows)" -ge $((flows + 2)) ]
	[ "$(counter no_listener)" = 0 ]
}

both_fetch()
{
	local family

	for family in 4 6; do
		fetches
	done
}

# --- HAProxy, Squid ----------------------------------------------------------

haproxy_config()
{
	cat <<-END
		global
		$(! kernel_before 606 || echo noreuseport)
		defaults
		timeout connect 5s
		timeout client 5s
		timeout server 5s
		listen relay4
		bind 127.0.0.1:9001 transparent
		server original 0.0.0.0 source 0.0.0.0 usesrc clientip
		listen relay6
		bind [::1]:9001 transparent
		server original [::] source [::] usesrc clientip
	END
}

@test "steer: HAProxy, transparent on both sides, and curl" {
	need haproxy curl
	serve_web
	haproxy_config >"$BATS_TEST_TMPDIR/haproxy.cfg"
	spawn haproxy haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
	wait_for listens 9001
	carry 8080
	both_fetch
}

squid_config()
{
	cat <<-END
		http_port 127.0.0.1:9001 tproxy
		http_port [::1]:9001 tproxy
		http_port 127.0.0.1:9002
		visible_hostname squid.example
		http_access allow all
		cache deny all
		cache_mem 0
		max_filedescriptors 1024
		access_log none
		cache_log $BATS_TEST_TMPDIR/squid.log
		pid_filename none
		pinger_enable off
		netdb_filename none
		shutdown_lifetime 0 seconds
	END
}

@test "steer: Squid with a tproxy port, and curl" {
	need squid haproxy curl
	serve_web
	squid_config >"$BATS_TEST_TMPDIR/squid.conf"
	chmod 711 "$TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/* "$BATS_TEST_TMPDIR"
	: >"$BATS_TEST_TMPDIR/squid.log"
	chmod 666 "$BATS_TEST_TMPDIR/squid.log"
	spawn squid squid -N -f "$BATS_TEST_TMPDIR/squid.conf"
	wait_for listens 9001 || { cat "$BATS_TEST_TMPDIR/squid.log"; false; }
	carry 8080
	both_fetch
}

# --- a router with ziti-router's socket options ------------------------------

@test "steer: ziti-router's sockets, and curl" {
	need haproxy curl
	serve_web
	ziti
	carry 8080
	both_fetch
}

@test "steer: ziti-router's sockets with an MPTCP listener, as Go makes them by default" {
	need haproxy curl
	serve_web
	ziti --mptcp
	carry 8080
	both_fetch
}

# iperf3 takes TCP for control and, with -u, UDP to the same port for the data.
iperf()
{
	local port=$((5200 + family)) result=$BATS_TEST_TMPDIR/iperf.json

	# shellcheck disable=SC2154
	address 10.1.2.3
	spawn "iperf$port$1" "${beyond[@]}" iperf3 -s -1 -B "$REPLY" -p $port --forceflush
	wait_for listens_beyond $port
	carry $port
	address 10.1.2.3
	# shellcheck disable=SC2086 # options
	"${client[@]}" iperf3 -J -c "$REPLY" -p $port -t 1 ${2:-} >"$result"
	jq -e "$3" "$result"
	address 198.18.0.2
	said "iperf$port$1" "Accepted connection from $REPLY"
	reap "iperf$port$1"
}

@test "steer: ziti-router's sockets, and iperf3 by TCP and UDP, both ways" {
	need iperf3
	ziti
	for family in 4 6; do
		iperf tcp '' '.end.sum_received.bytes > 1e6 and .error == null'
		iperf tcpback -R '.end.sum_received.bytes > 1e6 and .error == null'
		iperf udp '-u -b 500K' '.end.sum.packets > 10 and .end.sum.lost_percent < 20'
		iperf udpback '-u -b 500K -R' '.end.sum.packets > 10 and .end.sum.lost_percent < 20'
	done
	family=4
	[ "$(counter no_listener)" = 0 ]
}

names()
{
	local answer

	address 10.1.2.3
	answer=$("${client[@]}" dig +short +tries=2 +time=30 "$@" @"$REPLY" -p 5300 name.example A)
	echo "$answer"
	[ "$answer" = 192.0.2.7 ]
}

@test "steer: ziti-router's sockets, and dig by UDP and TCP" {
	need dig dnsmasq
	spawn dns "${beyond[@]}" dnsmasq -k -C /dev/null -p 5300 --no-resolv --no-hosts \
		--log-queries --log-facility=- --address=/name.example/192.0.2.7 --user=root --pid-file=
	wait_for listens_beyond 5300
	ziti
	carry 5300
	for family in 4 6; do
		names
		names +tcp
		address 198.18.0.2
		grep "from $REPLY" "$BATS_TEST_TMPDIR/dns.err" "$BATS_TEST_TMPDIR/dns.out"
	done
	family=4
	[ "$(counter steered_flows)" -ge 4 ]
	[ "$(counter no_listener)" = 0 ]
}

# The client has a UDP socket for that port.
asks()
{
	[ -n "$("${client[@]}" ss "-Huan$family" "dport = :$1")" ]
}

echoed()
{
	local file back=$BATS_TEST_TMPDIR/back

	endpoint 10.1.2.3 5400
	file=$(big 16)
	"${client[@]}" timeout 60 socat -t 20 - "TCP$family:$REPLY" <"$file" >"$back"
	same_bytes "$file" "$back"
	head -c 1400 "$file" >"$BATS_TEST_TMPDIR/datagram"
	endpoint 10.1.2.3 5401
	spawn "udp$family" "${client[@]}" socat -T 60 - "UDP$family:$REPLY"
	wait_for asks 5401
	cat "$BATS_TEST_TMPDIR/datagram" 1<>"$BATS_TEST_TMPDIR/udp$family.in"
	wait_for cmp -s "$BATS_TEST_TMPDIR/datagram" "$BATS_TEST_TMPDIR/udp$family.out"
}

@test "steer: ziti-router's sockets, and socat: 16 MiB by TCP and a datagram by UDP come back the same" {
	need socat
	spawn echo "${beyond[@]}" socat TCP6-LISTEN:5400,ipv6only=0,fork,reuseaddr EXEC:cat
	spawn echo4 "${beyond[@]}" socat UDP4-LISTEN:5401,bind=10.1.2.3,fork EXEC:cat
	spawn echo6 "${beyond[@]}" socat 'UDP6-LISTEN:5401,bind=[fd00::a01:203],fork' EXEC:cat
	wait_for listens_beyond 5400
	ziti
	carry 5400-5401
	for family in 4 6; do
		echoed
	done
	family=4
}
