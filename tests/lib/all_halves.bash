# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which halves are loaded, and traffic of all halves at the same time, of which each byte and datagram is
# checked. Needs steer.bash and streams.bash.

half_is()
{
	[ -e "$PIN_DIR/$1/maps/shunt_conf" ] && echo loaded || echo absent
}

# halves: what is loaded, as four words
halves()
{
	echo "$(half_is bypass)" "$(half_is steering)" "$(half_is nat)" "$(half_is monitor)"
}

# start_steered COUNT: the client's connections, steered to a transparent server
start_steered()
{
	spawn steered-server "${router[@]}" "$PEERS/stream" server 127.0.0.1 7001 -T -n "$1"
	said steered-server ready
	spawn steered-client "${client[@]}" "$PEERS/stream" client 10.1.2.3 80 -n "$1"
	said steered-client ready
}

# start_translated COUNT: the client's connections, which NAT sends to another host
start_translated()
{
	spawn translated-server "${beyond[@]}" "$PEERS/stream" server 10.3.0.1 7002 -n "$1"
	said translated-server ready
	spawn translated-client "${client[@]}" "$PEERS/stream" client 172.16.240.9 7002 -n "$1"
	said translated-client ready
}

start_pulse()
{
	spawn sink "${router[@]}" "$PEERS/pulse" sink 127.0.0.1 7003
	said sink ready
	spawn source "${client[@]}" "$PEERS/pulse" source 10.1.2.3 5000 10000
	said source ready
}

# No datagram of the source was lost, came twice or came late.
end_pulse()
{
	local sent

	tell source
	reap source
	tell sink
	reap sink
	sent=$(output_of source | sed -n 's/sent=//p')
	echo "sent $sent: $(output_of sink)"
	[ "$(output_of sink | tail -n 1)" = "came=$sent lost=0 late=0" ]
}

# start_traffic [COUNT]: COUNT (50) steered connections, as many translated ones, twice as many
# pairs on the fast path, and 10,000 datagrams a second. TRAFFIC in the environment overrules COUNT.
start_traffic()
{
	count=${TRAFFIC:-${1:-50}}
	shunt load --iface r0 --cgroup "$CGROUP=eager"
	shunt steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:7001
	shunt steer add udp dst 10.1.0.0/16 dport 5000 to 127.0.0.1:7003
	shunt nat add tcp dst 172.16.240.9 dport 7002 to 10.3.0.1
	spawn supervisor "$SHUNT" run
	start_steered "$count"
	start_translated "$count"
	start_streams pairs 5000 $((2 * count)) -t 20000
	start_pulse
}

# Connections of all kinds go on.
traffic_flows()
{
	flows_on steered 8
	flows_on translated 8
	flows_on pairs 16
}

end_traffic()
{
	end_pulse
	end_streams steered "$count"
	end_streams translated "$count"
	end_streams pairs $((2 * count))
}
