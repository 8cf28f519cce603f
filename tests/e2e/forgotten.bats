#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Connections that the router has forgotten: after a crash, a reboot or a failover the
# client goes on sending, and no socket has the flow. TPROXY answers with a reset, so
# that the client connects again. A connection that was forwarded before the rule came
# must not be reset. See steer.bash for the hosts. CONTROL=1 also tries nftables' TPROXY.

# shellcheck disable=SC2154 # find_hosts sets client and beyond
load ../lib/steer
load ../lib/tproxy

setup()
{
	need nft
	find_hosts
	load_steer r0
}

teardown()
{
	local table

	for table in crash leak redirected; do
		nft delete table inet $table 2>/dev/null || true
	done
	tproxy_off
	sysctl -qw net.ipv4.conf.r0.forwarding=1
	clean_up_steer
}

# serve_one: starts a router whose sockets are gone at once when it ends
serve_one()
{
	serve_router router --abort 9001
}

# crash COMMAND...: the router ends without a FIN or RST to anybody. Then runs the command,
# and starts a router.
crash()
{
	nft -f - <<-END
		table inet crash {
			chain output {
				type filter hook output priority 0
				tcp flags & (fin | rst) != 0 drop
			}
		}
	END
	stops router
	"$@"
	serve_one
	nft delete table inet crash
}

# watch_leaks: starts a counter of segments that would be forwarded, and drops these
watch_leaks()
{
	nft -f - <<-END
		table inet leak {
			counter leaked { }
			chain forward {
				type filter hook forward priority 0
				iifname "r0" counter name leaked drop
			}
		}
	END
}

leaked()
{
	nft list counter inet leak leaked | awk '$1 == "packets" { print $2 }'
}

# opens NAME ADDRESS: opens a connection through the router
opens()
{
	talk "$1" tcp "$2" 80
	said "$1" via=9001
}

# goes_on NAME: sends once more. The variable ended_by is what comes: reset, or silence.
goes_on()
{
	tell "$1" on
	said "$1" 'reset\|silence'
	echo "# $1: $(output_of "$1" | tail -n 1)"
	ended_by=$(output_of "$1" | tail -n 1)
}

is_reset()
{
	local ended_by

	goes_on "$1"
	[ "$ended_by" = reset ]
}

# counts LEAST: at least that many resets are counted, for the only rule and in all
counts()
{
	counted resets "$1"
	[ "$(shunt -j steer list | jq 'map(.segments_to_reset) | add')" -ge "$1" ]
}

# --- forgotten -----------------------------------------------------------------

after_crash()
{
	serve_one
	# the first has a route, so that the segment would be forwarded
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 192.0.2.1 to 127.0.0.1:9001
	opens "routed$family" 10.1.2.3
	opens "unrouted$family" 192.0.2.1
	crash true
	watch_leaks
	is_reset "routed$family"
	is_reset "unrouted$family"
	[ "$(leaked)" = 0 ]
	counts 2
	nft delete table inet leak
	stops router
}

@test "steer: a connection is reset after the router's crash" {
	each_family after_crash tcp
}

# shunt remembers nothing after a reboot. Without a route only this host can have had the
# flow.
after_reboot()
{
	shunt load --iface r0
	serve_one
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 192.0.2.1 to 127.0.0.1:9001
	opens "routed$family" 10.1.2.3
	opens "unrouted$family" 192.0.2.1
	unload
	crash shunt load --iface r0
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	add tcp dst 192.0.2.1 to 127.0.0.1:9001
	is_reset "unrouted$family"
	# where the host forwards, the connection may be of another host
	exchange_or_reset "routed$family"
	stops router
	unload
}

exchange_or_reset()
{
	watch_leaks
	tell "$1" on
	wait_for leaks
	nft delete table inet leak
}

leaks()
{
	[ "$(leaked)" -gt 0 ]
}

@test "steer: a connection is reset after a reboot or a VRRP failover, without a route" {
	unload
	family=4
	after_reboot
	family=6
	after_reboot
	shunt load --iface r0
}

@test "steer: a connection is reset after a reboot where nothing is forwarded" {
	serve_one
	sysctl -qw net.ipv4.conf.r0.forwarding=0
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	opens flow 10.1.2.3
	unload
	crash shunt load --iface r0
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	is_reset flow
}

# A router that is slow to start again: the client's next segments are answered.
@test "steer: while the router is down, segments of its connections are not forwarded" {
	serve_one
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	talk flow --patience 15 tcp 10.1.2.3 80
	said flow via=9001
	watch_leaks
	crash tell flow on
	said flow 'reset\|silence'
	[ "$(output_of flow | tail -n 1)" = reset ]
	[ "$(leaked)" = 0 ]
}

# --- not forgotten -------------------------------------------------------------

# forwarded_first NAME ADDRESS: opens a connection that is forwarded to beyond
forwarded_first()
{
	talk "$1" tcp "$2" 80
	said "$1" via=beyond
}

older()
{
	forwarded_first "older$family" 10.1.2.3
	serve_one
	add tcp dst 10.0.0.0/8 to 127.0.0.1:9001
	exchange "older$family" on
	exchange "older$family" on
	# a steered connection beside it changes nothing
	opens "newer$family" 10.1.2.3
	exchange "older$family" on
	exchange "newer$family" on
	crash true
	exchange "older$family" on
	is_reset "newer$family"
	exchange "older$family" on
	stops router
}

@test "steer: a TCP connection that was forwarded before its rule came is not reset" {
	each_family older tcp
}

# same_ports NAME VIA: opens a connection with fixed ports, which VIA answers
same_ports()
{
	talk "$1" --from 198.18.0.2 --sport 40000 tcp 10.1.2.3 80
	said "$1" "via=$2"
}

reuse()
{
	serve_one
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	same_ports "first$family" 9001
	# ended by a reset, so that no TIME_WAIT is left
	stops router
	tell "first$family" on
	said "first$family" 'reset\|^$' || true
	wait_for ended "first$family"
	del tcp dst 10.1.2.3
	same_ports "second$family" beyond
	serve_one
	add tcp dst 10.1.2.3 to 127.0.0.1:9001
	exchange "second$family" on
	exchange "second$family" on
	stops router
}

@test "steer: a forwarded connection with the ports of an earlier steered one is not reset" {
	each_family reuse tcp
}

# Netfilter redirects the connection: a program has it, though no socket of its addresses
# and no route exists.
@test "steer: a connection that netfilter redirects is not reset where nothing is forwarded" {
	sysctl -qw net.ipv4.conf.r0.forwarding=0
	serve other router --plain --name other tcp 0.0.0.0 9009
	nft -f - <<-END
		table inet redirected {
			chain prerouting {
				type nat hook prerouting priority dstnat
				iifname r0 tcp dport 80 redirect to :9009
			}
		}
	END
	talk far tcp 10.1.2.3 80
	said far via=other
	talk near tcp 198.18.0.1 80
	said near via=other
	serve_one
	shunt steer add tcp dst 0.0.0.0/0 to 127.0.0.1:9001
	exchange far on
	exchange near on
	[ "$(counter segments_to_reset)" = 0 ]
}

# --- the word ------------------------------------------------------------------

@test "steer: unknown pass: nothing is reset" {
	serve_one
	add tcp dst 192.0.2.1 to 127.0.0.1:9001 unknown pass
	opens flow 192.0.2.1
	crash true
	goes_on flow
	[ "$ended_by" = silence ]
	[ "$(counter segments_to_reset)" = 0 ]
}

@test "steer: unknown reset: every unknown connection that matches is reset, forwarded ones too" {
	serve_one
	forwarded_first flow 10.1.2.3
	add tcp dst 10.1.2.3 to 127.0.0.1:9001 unknown reset
	tell flow on
	wait_for over flow
	counts 1
}

# over NAME: the connection was reset. Packets that were let pass before pass for some
# seconds more.
over()
{
	[ "$(output_of "$1" | tail -n 1)" = reset ] && return
	tell "$1" on
	return 1
}

refused()
{
	run shunt steer add "${@:2}"
	[ "$status" = 2 ]
	[[ $output == *"$1"* ]]
}

@test "steer: unknown: steer list, save and apply know the word" {
	local word

	for word in reset pass; do
		shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001 unknown $word
		[ "$(shunt -j steer list | jq -r '.[].unknown')" = $word ]
		shunt save >"$BATS_TEST_TMPDIR/rules"
		grep -x "tcp dst 10.1.2.3 to 127.0.0.1:9001 unknown $word" "$BATS_TEST_TMPDIR/rules"
		shunt steer flush
		shunt apply "$BATS_TEST_TMPDIR/rules"
		[ "$(shunt -j steer list | jq -r '.[].unknown')" = $word ]
	done
	shunt steer add tcp dst 10.1.2.3 to 127.0.0.1:9001 unknown auto
	[ "$(shunt save rules | grep -v '^#')" = 'tcp dst 10.1.2.3 to 127.0.0.1:9001' ]
	[ "$(shunt -j steer list | jq -r '.[].unknown')" = auto ]
	shunt metrics | grep -x 'shunt_steer_segments_to_reset_total 0'
	refused "'unknown maybe'" tcp dst 10.1.2.3 to 127.0.0.1:9001 unknown maybe
	refused "'unknown reset' and 'pass'" tcp dst 10.1.2.3 pass unknown reset
	refused "'unknown reset' and udp" udp dst 10.1.2.3 to 127.0.0.1:9001 unknown reset
	[ "$(shunt -j steer list | jq length)" = 1 ]
}

# --- what this host sends --------------------------------------------------------

local_crash()
{
	add tcp dst 10.1.2.3 origin local to 127.0.0.1:9001
	serve router routers --abort tcp 127.0.0.1 9001 tcp ::1 9001
	translate tcp 10.1.2.3 80
	spawn "flow$family" "$PEERS/ask" --stay "${words[@]}"
	said "flow$family" via=9001
	nft -f - <<-END
		table inet crash {
			counter leaked { }
			chain output {
				type filter hook output priority 0
				tcp flags & (fin | rst) != 0 drop
			}
		}
	END
	stops router
	nft delete table inet crash
	serve router routers --abort tcp 127.0.0.1 9001 tcp ::1 9001
	"${beyond[@]}" nft -f - <<-END
		table inet leak {
			counter leaked { }
			chain prerouting {
				type filter hook prerouting priority raw
				meta l4proto tcp counter name leaked drop
			}
		}
	END
	is_reset "flow$family"
	[ "$("${beyond[@]}" nft list counter inet leak leaked | awk '$1 == "packets" { print $2 }')" = 0 ]
	"${beyond[@]}" nft delete table inet leak
	stops router
}

@test "steer: origin local: a connection is reset after the router's crash" {
	cgroup routers "$CGROUP_ROOT/router"
	reload_steer --iface r1
	each_family local_crash tcp
}

# --- beside TPROXY ---------------------------------------------------------------

@test "steer: control: with nftables' TPROXY a connection is reset after the router's crash" {
	[ -n "${CONTROL:-}" ] || skip "only with CONTROL=1"
	tproxy_on \
		"iifname r0 meta nfproto ipv4 meta l4proto tcp ip daddr { 10.1.2.3, 192.0.2.1 } \
			tproxy ip to 127.0.0.1:9001 meta mark set 1" \
		"iifname r0 meta nfproto ipv6 meta l4proto tcp ip6 daddr { fd00::a01:203, fd00::c000:201 } \
			tproxy ip6 to [::1]:9001 meta mark set 1"
	for family in 4 6; do
		serve_one
		opens "routed$family" 10.1.2.3
		opens "unrouted$family" 192.0.2.1
		crash true
		goes_on "routed$family"
		echo "# TPROXY: IPv$family, with a route: $ended_by" >&3
		goes_on "unrouted$family"
		echo "# TPROXY: IPv$family, without: $ended_by" >&3
		stops router
	done
}
