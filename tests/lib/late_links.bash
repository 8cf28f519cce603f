# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Further interfaces between the router and the client of steer.bash, which come, go and get other
# names while shunt is loaded.

# make_link NAME N: makes a link to the client, on which its packets for 10.1.2.N arrive
make_link()
{
	ip link add "$1" type veth peer name "$1" netns "$BATS_FILE_TMPDIR/netns-client"
	ip -batch - <<-END
		link set $1 addrgenmode none up
		addr add 198.18.$((100 + $2)).1/24 dev $1
	END
	"${client[@]}" ip -batch - <<-END
		link set $1 addrgenmode none up
		addr add 198.18.$((100 + $2)).2/24 dev $1
		route add 10.1.2.$2 via 198.18.$((100 + $2)).1
	END
}

# is_attached NAME [true|false]
is_attached()
{
	[ "$(status "steer.ifaces[] | select(.name == \"$1\") | .attached")" = "${2:-true}" ]
}

is_listed()
{
	[ -n "$(status "steer.ifaces[] | select(.name == \"$1\") | .name")" ]
}

not_listed()
{
	! is_listed "$1"
}

# rename OLD NEW...: pairs of names, one after the other; the interfaces keep their addresses
rename()
{
	while [ $# -gt 0 ]; do
		ip link set "$1" down
		ip link set "$1" name "$2"
		ip link set "$2" up
		shift 2
	done
}
