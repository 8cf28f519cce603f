#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# NAT beside a second shunt, steering and bypass. nat.bash has the hosts.

load ../lib/nat

# --- lo's forwarding ------------------------------------------------------------------

lo_forwards()
{
	[ "$(cat /proc/sys/net/ipv4/conf/lo/forwarding)" = "$1" ]
}

@test "nat: two shunts with NAT: the last one to leave restores lo's forwarding" {
	lo_forwards 0
	shunt load --nat h0
	other load --nat h1
	lo_forwards 1
	unload
	lo_forwards 1
	# and so does one that is asked for NAT after it was loaded
	shunt load --iface h0
	add tcp 10.0.0.10 80 10.1.0.2 8080
	other unload
	lo_forwards 1
	unload
	lo_forwards 0
}

@test "nat: lo's forwarding after unload is what the kernel would have set" {
	shunt load --nat h0
	sysctl -qw net.ipv4.ip_forward=1
	unload
	lo_forwards 1
	# a value that somebody set for lo alone is restored
	sysctl -qw net.ipv4.conf.lo.forwarding=0
	shunt load --nat h0
	lo_forwards 1
	unload
	lo_forwards 0
	sysctl -qw net.ipv4.conf.lo.forwarding=1
	shunt load --nat h0
	unload
	lo_forwards 1
	shunt load --nat h0
	sysctl -qw net.ipv4.ip_forward=0
	unload
	lo_forwards 0
}

# --- beside steering and bypass -----------------------------------------------------------

# A steering rule for everything must not take the answers.
@test "nat: with steering on the same interface: answers get their addresses first" {
	shunt load --iface h0
	shunt steer add tcp dst 0.0.0.0/0 to 127.0.0.1:9
	shunt steer add udp dst 0.0.0.0/0 to 127.0.0.1:9
	serve target near tcp 10.0.0.138 8080
	serve udp near udp 10.0.0.138 8080
	add tcp 10.0.0.10 80 10.0.0.138 8080
	add udp 10.0.0.10 80 10.0.0.138 8080
	answered target tcp 10.0.0.10 80
	answered udp udp 10.0.0.10 80
	shunt nat flush
	# packets of near are steered as before
	"${near[@]}" timeout 1 nc -w 1 10.0.0.1 7 3>&- || true
	[ "$(status steer.no_listener)" -ge 1 ]
}

@test "nat: with steering: a router's connection to its server goes by NAT" {
	ip route add 192.0.2.0/24 dev h0
	"${near[@]}" ip route add 198.51.100.0/24 via 10.0.0.1
	shunt load --iface h0
	shunt steer add tcp dst 198.51.100.0/24 dport 80 to 127.0.0.1:9001
	serve target far tcp 10.1.0.2 8080
	add tcp 10.0.0.10 80 10.1.0.2 8080
	spawn router socat TCP4-LISTEN:9001,bind=127.0.0.1,fork,reuseaddr,ip-transparent \
		TCP4:10.0.0.10:80
	wait_for serving tcp 9001
	[ "$(echo hello | "${near[@]}" timeout 10 nc -N -w 5 198.51.100.7 80 3>&-)" = \
		target$'\n'hello ]
	[ "$(status steer.steered_flows)" = 1 ]
	[ "$(status nat.new_flows)" = 1 ]
	ip route del 192.0.2.0/24 dev h0
}

@test "nat: with bypass: a target on this host is a pair, by NAT" {
	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP=eager" --host-bytes $((kib * 64)) --nat h0 --iface h1
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn target in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo target; cat'
	wait_for serving tcp 8080
	spawn client in_cgroup nc 10.0.0.10 80
	wait_for has_said client target
	tell client bypassed
	wait_for grep -q bypassed "$BATS_TEST_TMPDIR/client.out"
	[ "$(status bypass.pairs)" = 1 ]
	status_is bypass.redirected_bytes -gt 0
	[ "$(status nat.flows)" = 1 ]
}

@test "nat: with bypass: an excluded port is excluded behind NAT, at either end" {
	mkdir -p "$CGROUP"
	shunt load --cgroup "$CGROUP=eager" --exclude port:8080 --nat h0 --iface h1
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn target in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo target; cat'
	wait_for serving tcp 8080
	spawn client in_cgroup nc 10.0.0.10 80
	wait_for has_said client target
	no_sockets
}

# A connection of near is steered to the router. NAT sends the router's own connection to a
# service on this host, and these two ends bypass the stack.
@test "nat: steering, NAT and bypass in one path" {
	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	mkdir -p "$CGROUP"
	"${near[@]}" ip route add 198.51.100.0/24 via 10.0.0.1
	shunt load --cgroup "$CGROUP=eager" --host-bytes $((kib * 64)) --iface h0
	shunt steer add tcp dst 198.51.100.0/24 dport 80 to 127.0.0.1:9001
	add tcp 10.0.0.10 80 10.0.0.1 8080
	spawn service in_cgroup socat TCP4-LISTEN:8080,fork,reuseaddr 'SYSTEM:echo service; cat'
	spawn router in_cgroup socat TCP4-LISTEN:9001,bind=127.0.0.1,fork,reuseaddr,ip-transparent \
		TCP4:10.0.0.10:80
	wait_for serving tcp 8080
	wait_for serving tcp 9001
	spawn client "${near[@]}" nc 198.51.100.7 80
	wait_for has_said client service
	tell client all three
	wait_for grep -q 'all three' "$BATS_TEST_TMPDIR/client.out"
	[ "$(status steer.steered_flows)" = 1 ]
	[ "$(status nat.flows)" = 1 ]
	[ "$(status bypass.pairs)" = 1 ]
	status_is bypass.redirected_bytes -ge 10
}
