# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Hosts for steering: three in a row, each in a network namespace.
#
#     client .2 --- 198.18.0.0/24 --- .1 router .1 --- 198.19.0.0/24 --- .2 beyond
#                                     r0        r1
#
# The router is the file's own namespace, and shunt is loaded there, on r0. beyond
# has every address in 10.0.0.0/8 and 172.16.240.0/24 and answers on some ports:
# a packet that is not steered gets an answer, too, and a different one.
#
# setup_file(), setup(), teardown() and teardown_file() are below. A file that
# needs more defines its own ones after 'load ../lib/steer', from the same steps.

load ../lib/traffic

# shellcheck disable=SC2034 # for the tests
ROUTER_MAC=02:00:00:00:00:01
BEYOND_PORTS=(79 80 85 90 91 443 5060 5061)

setup_file()
{
	make_hosts
}

teardown_file()
{
	remove_hosts
}

setup()
{
	find_hosts
	load_steer r0
}

teardown()
{
	clean_up_steer
}

# --- the hosts ---------------------------------------------------------------

router_links()
{
	cat <<-END
		link add r0 address $ROUTER_MAC type veth peer name c0 netns ${client_file:?}
		link add r1 type veth peer name b0 netns ${beyond_file:?}
		addr add 198.18.0.1/24 dev r0
		addr add 198.19.0.1/24 dev r1
		addr add fd00::c612:1/120 dev r0 nodad
		addr add fd00::c613:1/120 dev r1 nodad
		addr add fe80::1/64 dev r0 nodad
		addr add fe80::1/64 dev r1 nodad
		link set r0 addrgenmode none up
		link set r1 addrgenmode none up
		route add 10.0.0.0/8 via 198.19.0.2
		route add 172.16.240.0/24 via 198.19.0.2
		route add fd00::a00:0/104 via fd00::c613:2
	END
}

client_links()
{
	cat <<-END
		addr add 198.18.0.2/24 dev c0
		addr add 198.18.0.3/24 dev c0
		addr add 198.18.0.130/24 dev c0
		addr add fd00::c612:82/120 dev c0 nodad
		addr add fd00::c612:3/120 dev c0 nodad
		addr add fd00::c612:2/120 dev c0 nodad
		addr add fe80::2/64 dev c0 nodad
		link set c0 addrgenmode none up
		route add default via 198.18.0.1
		route add ::/0 via fd00::c612:1
	END
}

beyond_links()
{
	cat <<-END
		addr add 198.19.0.2/24 dev b0
		addr add fd00::c613:2/120 dev b0 nodad
		addr add fe80::2/64 dev b0 nodad
		link set b0 addrgenmode none up
		route add default via 198.19.0.1
		route add ::/0 via fd00::c613:1
		route add local 10.0.0.0/8 dev lo
		route add local 172.16.240.0/24 dev lo
		route add local fd00::a00:0/104 dev lo
	END
}

# For setup_file(): makes the hosts. beyond's listeners run all the time.
make_hosts()
{
	local -a sockets

	BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	netns client
	netns beyond
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	router_links | ip -batch -
	client_links | "${client[@]:?}" ip -batch -
	beyond_links | "${beyond[@]:?}" ip -batch -
	sockets_at 0.0.0.0 :: "${BEYOND_PORTS[@]}"
	serve beyond beyond --name beyond "${sockets[@]}"
}

# For teardown_file().
remove_hosts()
{
	kill "$(cat "$BATS_FILE_TMPDIR/beyond.pid")"
	BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	remove_netns
}

# For setup(): the arrays router, client and beyond run a command on that host.
find_hosts()
{
	# shellcheck disable=SC2034
	router=()
	client=(nsenter --net="$BATS_FILE_TMPDIR/netns-client" --)
	beyond=(nsenter --net="$BATS_FILE_TMPDIR/netns-beyond" --)
}

# host_state: everything on the router that 'shunt load' may change
host_state()
{
	local families=$'rule\nroute show table all\n'

	# a link's state gets into its routes some time after it is up
	{
		ip -batch - <<<"$families"
		ip -6 -batch - <<<"$families"
		tc -batch - <<<$'qdisc\nfilter show dev r0 ingress\nfilter show dev r1 ingress'
		tc -batch - <<<$'filter show dev r0 egress\nfilter show dev r1 egress'
		tc filter show dev lo ingress
		cat /proc/sys/net/ipv4/conf/lo/accept_local
	} | sed 's/ linkdown//'
}

# For setup(), load_steer IFACE...: loads shunt on these interfaces of the router, and
# remembers what the host was like before.
load_steer()
{
	local iface
	local -a options=()

	for iface; do
		# a test that failed may have left a qdisc
		tc qdisc del dev "$iface" clsact 2>/dev/null || true
		options+=(--iface "$iface")
	done
	host_state >"$BATS_TEST_TMPDIR/before"
	shunt load "${options[@]}"
}

# reload_steer OPTION...: unloads shunt and loads it with these options.
reload_steer()
{
	unload
	shunt load "$@"
}

# For teardown(): ends all processes, unloads shunt, and fails unless the router is
# as it was before load_steer().
clean_up_steer()
{
	end_all
	unload
	unload_other
	[ ! -e "$PIN_DIR" ]
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
}

# haproxy_config [SOURCE]: HAProxy as a router. Port 9001 answers with both addresses of the
# connection, port 9002 connects to the original destination, with these words for the source.
haproxy_config()
{
	cat <<-END
		global
		$(! kernel_before 606 || echo noreuseport)
		defaults
		timeout connect 5s
		timeout client 5s
		timeout server 5s
		frontend answers
		mode http
		bind 127.0.0.1:9001 transparent
		bind [::1]:9001 transparent
		http-request return status 200 content-type text/plain lf-string "%[dst] %[dst_port] %[src]"
		listen relay4
		bind 127.0.0.1:9002 transparent
		server original 0.0.0.0 ${1:+source 0.0.0.0 $1}
		listen relay6
		bind [::1]:9002 transparent
		server original [::] ${1:+source [::] $1}
	END
}

# fetched SOURCE [COMMAND...]: curl, run by the command, asks 10.1.2.3 from the address SOURCE,
# and the answer of haproxy_config has both addresses
fetched()
{
	local got

	endpoint 10.1.2.3 80
	got=$("${@:2}" curl -gsSm 10 --noproxy '*' "http://$REPLY/")
	echo "$got"
	translate 10.1.2.3 80 "$1"
	[ "$got" = "${words[*]}" ]
}
