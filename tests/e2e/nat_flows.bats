#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT: the flows: how they begin and end, get ports, and outlive their rules. nat.bash has
# the hosts.

load ../lib/nat

bats_require_minimum_version 1.5.0

BENCH=$PROJECT/build/bench

# hold PORT [OPTION]: opens a connection by a rule, which stays until the client is ended
hold()
{
	spawn "hold$1" nc "${@:2}" 10.0.0.10 "$1"
	wait_for has_said "hold$1" target
}

@test "nat: idle times: answered, unanswered, closed and reset flows end; an open connection stays" {
	load_quick
	serve target near tcp 10.0.0.138 8080
	serve udp near udp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 81 10.1.0.99 8080 # nobody listens there
	hold 80
	answered target tcp 10.0.0.10 80
	answered udp udp 10.0.0.10 80
	nc -u -w 0 10.0.0.10 81 <<<hello 3>&- || true
	[ "$(status nat.new_flows)" = 4 ]
	wait_for flows 1
	[ "$(shunt -j nat flows | jq -r '.[0].to')" = 10.0.0.138:8080 ]
	tell hold80 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold80.out"
	stop hold80
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
}

@test "nat: a full table: new flows are dropped and counted, old ones go on" {
	load_quick --nat-flows 2
	serve target near tcp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add tcp 10.0.0.10 81 10.0.0.138 8080
	hold 80
	hold 81
	run ! timeout 2 nc -w 1 10.0.0.10 80 3>&-
	[ "$(status nat.dropped_no_room)" -ge 1 ]
	[ "$(shunt -j nat list | jq '.[0].refused')" -ge 1 ]
	flows 2
	tell hold80 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold80.out"
	stop hold80
	wait_for flows 1
	answered target tcp 10.0.0.10 80
}

@test "nat: two flows with the same source and port at the target: the second gets another source port" {
	load_quick
	# shellcheck disable=SC2016 # for the server's shell
	serve target near tcp 10.0.0.138 8080 'echo target from $SOCAT_PEERPORT; cat'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add tcp 10.0.0.10 81 10.0.0.138 8080
	spawn hold1 socat - TCP4:10.0.0.10:80,sourceport=40000,reuseaddr
	wait_for has_said hold1 'target from 40000'
	spawn hold2 socat - TCP4:10.0.0.10:81,sourceport=40000,reuseaddr
	wait_for has_said hold2 'target from [0-9]'
	run ! has_said hold2 'target from 40000'
	[ "$(status nat.source_ports_changed)" = 1 ]
	# and a connection straight to the target, without a rule
	spawn hold3 socat - TCP4:10.0.0.138:8080,sourceport=40000,reuseaddr
	wait_for has_said hold3 'target from [0-9]'
	run ! has_said hold3 'target from 40000'
	[ "$(status nat.source_ports_changed)" = 2 ]
	for hold in 1 2 3; do
		tell hold$hold on$hold
		wait_for grep -q "on$hold" "$BATS_TEST_TMPDIR/hold$hold.out"
	done
}

@test "nat: a connection of this host straight to the target keeps its port" {
	load_quick
	# shellcheck disable=SC2016 # for the server's shell
	serve target near tcp 10.0.0.138 8080 'echo target from $SOCAT_PEERPORT; cat'
	spawn hold1 socat - TCP4:10.0.0.138:8080,sourceport=40000,reuseaddr
	wait_for has_said hold1 'target from 40000'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	spawn hold2 socat - TCP4:10.0.0.10:80,sourceport=40000,reuseaddr
	wait_for has_said hold2 'target from [0-9]'
	run ! has_said hold2 'target from 40000'
	tell hold1 on
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold1.out"
}

# Two sockets at one port. One sends straight to the target before there is a rule. The
# server waits for both before it answers.
@test "nat: a UDP socket of this host straight to the target keeps its port" {
	load_quick
	# shellcheck disable=SC2016 # for perl
	spawn server "${near[@]}" perl -MSocket=:all -e '
		socket(S, PF_INET, SOCK_DGRAM, 0) or die;
		bind(S, sockaddr_in(8080, inet_aton("10.0.0.138"))) or die;
		my %from = map { my $a = recv(S, $got, 100, 0); ($got => $a) } 1, 2;
		send(S, $_, 0, $from{$_}) for sort keys %from;'
	wait_for serving udp 8080 "${near[@]}"
	# shellcheck disable=SC2016 # for perl
	spawn client perl -MSocket=:all -e '
		$| = 1;
		for (["a", 8080, "10.0.0.138"], ["b", 80, "10.0.0.10"]) {
			my ($name, $port, $host) = @$_;
			socket($s{$name}, PF_INET, SOCK_DGRAM, 0) or die;
			setsockopt($s{$name}, SOL_SOCKET, SO_REUSEADDR, 1) or die;
			bind($s{$name}, sockaddr_in(40000, inet_aton("10.0.0.1"))) or die;
			connect($s{$name}, sockaddr_in($port, inet_aton($host))) or die;
			send($s{$name}, $name, 0) or die;
			print "sent $name\n";
			<STDIN>;
		}
		for (sort keys %s) { recv($s{$_}, $got, 100, 0); print "$_ got $got\n" }'
	said client 'sent a'
	add udp 10.0.0.10 80 10.0.0.138 8080
	tell client on
	said client 'sent b'
	tell client on
	said client 'a got a'
	said client 'b got b'
	[ "$(status nat.source_ports_changed)" = 1 ]
}

# forward_to_far: routes of near and this host, so that near reaches the old destination
# and the target through this host
forward_to_far()
{
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip route add 10.9.0.1 via 10.1.0.2
	ip route add fd00::a09:1 via fd00::a01:2
	"${near[@]}" ip -batch - <<-END
		route add 10.0.0.0/8 via 10.0.0.1
		route add fd00::/64 via fd00::a00:1
	END
}

forward_no_more()
{
	sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}

# serve_ports PLACE PROTO ADDRESS: a server that tells each client the client's port
serve_ports()
{
	# shellcheck disable=SC2016 # for the server's shell
	serve target "$1" "$2" "$3" 8080 'echo target from $SOCAT_PEERPORT; cat'
}

# near_asks NAME PROTO ADDRESS PORT FROM: a client in near sends from the port FROM
near_asks()
{
	spawn "$1" "${near[@]}" socat - "${2^^}$family:$(at "$3" "$4"),sourceport=$5,reuseaddr"
}

both_go_on()
{
	echoed straight "straight on"
	echoed other "and the other"
}

# near sends by this host to far, from port 40000: first straight to the target, then by
# NAT. Both go on.
straight_and_by_nat()
{
	local before

	before=$(status nat.source_ports_changed)
	near_asks straight "$1" 10.1.0.2 8080 "4000$family"
	wait_for greeted straight "target from 4000$family"
	near_asks other "$1" 10.9.0.1 80 "4000$family"
	wait_for greeted other 'target from [0-9]'
	run ! has_said other "target from 4000$family"
	both_go_on
	[ "$(status nat.source_ports_changed)" = $((before + 1)) ]
}

# The other way round: first by NAT, then straight to the target. The second flow gets
# another port, for the target could not tell them apart.
by_nat_and_straight()
{
	near_asks other "$1" 10.9.0.1 80 "4100$family"
	wait_for greeted other 'target from [0-9]'
	near_asks straight "$1" 10.1.0.2 8080 "4100$family"
	wait_for greeted straight "target from [0-9]"
	both_go_on
}

# with_rule FUNCTION PROTO: runs it with a server in far and a rule that leads there
with_rule()
{
	serve_ports far "$2" 10.1.0.2
	add "$2" 10.9.0.1 80 10.1.0.2 8080
	"$@"
	stop straight
	stop other
	stop target
}

# forwarded FUNCTION: for each protocol and family
forwarded()
{
	forward_to_far
	load_quick --nat h1 --nat-idle udp=60
	both_families with_rule "$1" tcp
	both_families with_rule "$1" udp
	forward_no_more
}

@test "nat: a forwarded connection straight to the target that is older than the rule keeps its port" {
	forward_to_far
	serve_ports far tcp 10.1.0.2
	near_asks straight tcp 10.1.0.2 8080 42000
	wait_for greeted straight 'target from 42000'
	load_quick --nat h1
	add tcp 10.9.0.1 80 10.1.0.2 8080
	echoed straight "it goes on"
	near_asks other tcp 10.9.0.1 80 42000
	wait_for greeted other 'target from [0-9]'
	run ! has_said other 'target from 42000'
	both_go_on
	forward_no_more
}

@test "nat: a forwarded connection straight to the target, after one by NAT" {
	forwarded by_nat_and_straight
}

@test "nat: a forwarded connection straight to the target that was there first keeps its port" {
	forwarded straight_and_by_nat
}

@test "nat: tracked without translation: only traffic straight to a target, in half of the table" {
	forward_to_far
	load_quick --nat h1 --nat-flows 8
	serve target far udp 10.1.0.2 8080
	serve other far udp 10.1.0.2 8081
	"${near[@]}" nc -u -w 0 10.1.0.2 8080 <<<hello
	add udp 10.9.0.1 80 10.1.0.2 8080
	"${near[@]}" nc -u -w 0 10.1.0.2 8081 <<<hello
	"${near[@]}" nc -u -w 0 10.1.0.2 80 <<<hello
	flows 0
	# by one process, for the first flow ends a second later
	"${near[@]}" bash -c 'for _ in {1..8}; do echo hello >/dev/udp/10.1.0.2/8080; done'
	[ "$(status nat.new_flows)" = 4 ]
	[ "$(status nat.sent_directly_to_target)" = 4 ]
	[ "$(status nat.dropped_no_room)" = 0 ]
	answered target udp 10.9.0.1 80
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
	forward_no_more
}

forwarded_to_this_host()
{
	# shellcheck disable=SC2034 # for serve
	here=()
	add "$1" 10.9.0.1 80 10.0.0.1 8080
	serve target here "$1" 10.0.0.1 8080
	answered target "$1" 10.9.0.1 80
	stop target
	[ "$1" = udp ] || return 0
	refused_with_an_error 10.9.0.1
	serve target here udp 10.0.0.1 8080 cat
	large 10.9.0.1
	stop target
}

@test "nat: forwarded packets to a target on this host: answers, fragments and ICMP errors" {
	forward_to_far
	shunt load --nat h0 --nat h1
	# shellcheck disable=SC2034 # for answered and large
	client=("${near[@]}")
	both_families forwarded_to_this_host tcp
	both_families forwarded_to_this_host udp
	forward_no_more
}

@test "nat: a forwarded connection gets no port that a client of this host's has" {
	# shellcheck disable=SC2034 # for serve
	here=()
	forward_to_far
	load_quick --nat h1
	serve_ports here tcp 10.0.0.1
	add tcp 10.9.0.1 80 10.0.0.1 8080
	near_asks straight tcp 10.0.0.1 8080 40000
	wait_for has_said straight 'target from 40000'
	near_asks other tcp 10.9.0.1 80 40000
	wait_for has_said other 'target from [0-9]'
	run ! has_said other 'target from 40000'
	both_go_on
	forward_no_more
}

@test "nat: a rule for an address that was a target finds the flows that go straight there" {
	forward_to_far
	load_quick --nat h1 --nat-idle udp=60
	serve old far udp 10.1.0.2 8080
	serve new far udp 10.1.0.2 8081
	add udp 10.9.0.1 80 10.1.0.2 8080
	spawn client "${near[@]}" socat - UDP4:10.1.0.2:8080
	wait_for greeted client old
	flows 1
	add udp 10.1.0.2 8080 10.1.0.2 8081
	wait_for greeted client new
	flows 1
	forward_no_more
}

@test "nat: rules come and go: existing flows and connections stay as they are" {
	load_quick
	serve other near tcp 10.0.0.10 80
	serve target near tcp 10.0.0.138 8080
	spawn direct nc 10.0.0.10 80
	wait_for has_said direct other
	add tcp 10.0.0.10 80 10.0.0.138 8080
	spawn hold nc 10.0.0.10 80
	wait_for has_said hold target
	shunt nat flush
	answered other tcp 10.0.0.10 80
	tell direct on
	tell hold on
	wait_for grep -q on "$BATS_TEST_TMPDIR/direct.out"
	wait_for grep -q on "$BATS_TEST_TMPDIR/hold.out"
}

# from_port PORT DPORT: connects from that port, prints the server's answer, and resets
from_port()
{
	timeout 10 socat -u "TCP4:10.0.0.10:$2,sourceport=$1,reuseaddr,linger=0" - 3>&-
}

@test "nat: a closed flow that begins again is matched with the rules" {
	load_quick --nat-idle closed=60
	serve other near tcp 10.0.0.10 80 'echo other'
	serve old near tcp 10.0.0.138 8080 'echo old'
	serve new far tcp 10.1.0.2 8080 'echo new'
	add tcp 10.0.0.10 80 10.0.0.138 8080
	[ "$(from_port 40000 80)" = old ]
	[ "$(from_port 40000 80)" = old ]
	flows 1
	add tcp 10.0.0.10 80 10.1.0.2 8080
	[ "$(from_port 40000 80)" = new ]
	flows 1
	shunt nat flush
	[ "$(from_port 40000 80)" = other ]
	flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
}

asked_twice()
{
	[ "$(shunt -j nat flows | jq '.[0].out_packets')" -ge 2 ]
}

@test "nat: a request without an answer reaches the new target when it is sent again" {
	load_quick --nat-idle opening=60
	"${near[@]}" ip route add blackhole 10.0.0.1/32 # answers are lost
	add tcp 10.0.0.10 80 10.0.0.138 8080
	serve new far tcp 10.1.0.2 8080
	spawn client nc 10.0.0.10 80
	wait_for asked_twice
	add tcp 10.0.0.10 80 10.1.0.2 8080
	wait_for has_said client new
	flows 1
}

# --- many -----------------------------------------------------------------------------

@test "nat: 10,000 connections through one rule and through 1,000 rules" {
	serve_load 5000
	load_quick
	add tcp 10.0.0.10 20000 10.0.0.138 5000
	"$BENCH/natload" connect 10.0.0.10 20000 -n 10000 3>&-
	printf 'nat tcp dst 10.0.0.10 dport %s to 10.0.0.138:5000\n' {20000..20999} | shunt apply -
	"$BENCH/natload" connect 10.0.0.10 20000 -n 10000 -p 1000 3>&-
	[ "$(status nat.rules)" = 1000 ]
	[ "$(status nat.new_flows)" -ge 15000 ]
	[ "$(status nat.dropped_no_room)" = 0 ]
	wait_for flows 0
	[ "$(map_entries shunt_nat_flows)" = 0 ]
	[ "$(shunt -j nat list | jq 'map(select(.flows > 0)) | length')" = 1000 ]
}

serve_load()
{
	spawn load "${near[@]}" "$BENCH/natload" serve 10.0.0.138 "$1"
	said load ready
}
