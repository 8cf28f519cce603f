# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Steered traffic: rules, listeners on the router, clients that ask, and what the
# client, 'shunt steer test' and the counters say afterwards.
#
# Under emulation a process takes a tenth of a second, and jq more than one. So
# the functions for each packet start as few processes as they can; see quickly().

load ../lib/common
load ../lib/addresses

asking=client
declare -gA asker_reads asker_writes

# --- rules -------------------------------------------------------------------

# add RULE..., del RULE...: shunt steer add and del, in the family at hand
add()
{
	quickly translate "$@"
	shunt steer add "${words[@]}"
}

del()
{
	quickly translate "$@"
	shunt steer del "${words[@]}"
}

# each_way SCENARIO: calls the function SCENARIO once for each protocol and family. Its
# argument is the protocol. There are no rules at its start.
each_way()
{
	each_family "$1" tcp
	each_family "$1" udp
}

# each_family SCENARIO PROTO: the same for each family
each_family()
{
	for family in 4 6; do
		echo "# $2, IPv$family"
		shunt steer flush
		"$1" "$2"
	done
	family=4
}

# --- listeners ---------------------------------------------------------------

# serve NAME PLACE WORD...: starts peers/tproxy.c there, and waits until it listens.
# PLACE is the name of an array that runs a command in a place: router, beyond, or
# a cgroup.
serve()
{
	local -n where=$2

	spawn "$1" "${where[@]}" "$PEERS/tproxy" "${@:3}"
	said "$1" ready
}

# sockets_at IPV4 IPV6 PORT...: the array sockets is the words of peers/tproxy.c for
# sockets of both protocols at these two addresses, for each port.
sockets_at()
{
	local port

	sockets=()
	for port in "${@:3}"; do
		sockets+=(tcp "$1" "$port" tcp "$2" "$port" udp "$1" "$port" udp "$2" "$port")
	done
}

# serve_loopback NAME PLACE [OPTION]... PORT...: sockets of both protocols and
# families on the loopback addresses.
serve_loopback()
{
	local name=$1 place=$2
	local -a options=() sockets

	shift 2
	while [[ $1 == -* ]]; do
		options+=("$1")
		shift
	done
	sockets_at 127.0.0.1 ::1 "$@"
	serve "$name" "$place" "${options[@]}" "${sockets[@]}"
}

# serve_router NAME [OPTION]... PORT...: a transparent router's sockets, on the router
serve_router()
{
	serve_loopback "$1" router "${@:2}"
}

# stops NAME: ends a process of serve(), and waits until it has ended
stops()
{
	kill "$(cat "$BATS_TEST_TMPDIR/$1.pid")"
	wait_for ended "$1"
	rm "$BATS_TEST_TMPDIR/$1".*
}

# --- clients and their answers -------------------------------------------------------------

# start_asker PLACE: starts the process that asks from that place, one for all questions
start_asker()
{
	local -n where=$1
	local reads writes fifo=$BATS_TEST_TMPDIR/asker-$1

	mkfifo "$fifo-reads" "$fifo-writes"
	exec {reads}<>"$fifo-reads" {writes}<>"$fifo-writes"
	asker_reads[$1]=$reads asker_writes[$1]=$writes
	"${where[@]}" "$PEERS/ask" --serve <"$fifo-reads" >"$fifo-writes" 3>&- &
	spawned+=($!)
}

# ask [OPTION...] PROTO ADDRESS PORT: sends a packet from the place in the variable
# asking (client). The answer is in the variable answer; peers/ask.c has its form.
ask()
{
	[ -n "${asker_reads[$asking]:-}" ] || start_asker "$asking"
	translate "$@"
	echo "${words[*]}" >&"${asker_reads[$asking]}"
	read -rt 30 answer <&"${asker_writes[$asking]}"
}

# from PLACE COMMAND...: runs a function that asks, with that place as the client
from()
{
	local asking=$1

	"${@:2}"
}

# meets VIA PROTO ADDRESS PORT [FROM [SPORT]]: a packet of the client is answered by
# the listener VIA (a port, or a name), and the source of the answer is the address
# to which the packet was sent.
meets()
{
	quickly try_packet "$@"
}

try_packet()
{
	local via=$1 proto=$2 from=${5:-198.18.0.2} sport=${6:-0} expected got

	ask --from "$from" --sport "$sport" "$proto" "$3" "$4" || return
	got=$answer
	if [ "$sport" = 0 ] && [[ $got =~ ^(local=[^ ]*\ remote=[^ ]*:)[0-9]+(\ .*) ]]; then
		got=${BASH_REMATCH[1]}0${BASH_REMATCH[2]}
	fi
	# a named listener may also answer by a socket of the flow
	[[ $via == [0-9]* ]] || got=${got/by=flow/by=listener}

	endpoint "$from" "$sport"
	expected="remote=$REPLY via=$via"
	endpoint "$3" "$4"
	expected="local=$REPLY $expected"
	[ "$proto" = tcp ] || expected+=" by=listener from=$REPLY"
	[ "$got" = "$expected" ] && return
	printf 'expected: %s\ngot:      %s\n' "$expected" "$got"
	shunt steer list
	return 1
}

# predicted VIA PROTO ADDRESS PORT [FROM [SPORT]]: 'shunt steer test' predicts the same
# for a packet on r0.
predicted()
{
	quickly try_test "$@"
}

try_test()
{
	local via=$1 got

	translate "$2" dst "$3" dport "$4" src "${5:-198.18.0.2}" iface r0
	[ "${6:-0}" = 0 ] || words+=(sport "$6")
	got=$(shunt steer test "${words[@]}") || return
	case $got in
	*" to "*":$via"$'\n'*) return ;;
	*" pass"$'\n'* | 'no rule matches'*) [ "$via" != beyond ] || return 0 ;;
	esac
	printf 'expected: %s\nsteer test says: %s\n' "$via" "$got"
	return 1
}

# steers VIA PROTO ...: both meets and predicted
steers()
{
	meets "$@" && predicted "$@"
}

# --- flows that stay ---------------------------------------------------------

# talk NAME [OPTION...] PROTO ADDRESS PORT: starts a client whose flow stays. It sends
# for each line of tell(); said() waits for its answers.
talk()
{
	translate "${@:2}"
	spawn "$1" "${client[@]}" "$PEERS/ask" --stay "${words[@]}"
}

# more_lines NAME COUNT: the client has printed more than COUNT lines. The array lines
# has them.
more_lines()
{
	mapfile -t lines <"$BATS_TEST_TMPDIR/$1.out"
	[ ${#lines[@]} -gt "$2" ]
}

# exchange NAME TEXT: a client of talk() sends once more, and the answer has that text
exchange()
{
	local -a lines
	local before

	more_lines "$1" 0
	before=${#lines[@]}
	tell "$1" on
	wait_for more_lines "$1" "$before"
	[[ ${lines[-1]} == *"$2"* ]] && return
	printf '%s\n' "${lines[@]}"
	return 1
}

# --- what was counted --------------------------------------------------------

# counter NAME: prints a counter of status
counter()
{
	local status

	status=$(shunt -j status)
	[[ $status =~ \"$1\":([0-9]+) ]]
	echo "${BASH_REMATCH[1]}"
}

# counted NAME LEAST: that counter is at least LEAST
counted()
{
	[ "$(counter "$1")" -ge "$2" ]
}

# misses: prints the misses of the only rule
misses()
{
	local rules

	rules=$(shunt steer list)
	[[ $rules =~ misses\ ([0-9]+) ]]
	echo "${BASH_REMATCH[1]}"
}

# watch_marks: starts counters of the packets that reach the router's routing: plain,
# marked by shunt, and with the foreign mark 4.
watch_marks()
{
	nft -f - <<-END
		table inet watch {
			counter plain { }
			counter marked { }
			counter foreign { }
			chain prerouting {
				type filter hook prerouting priority mangle
				iifname "lo" accept
				meta mark 0 counter name plain accept
				meta mark and 0x1000000 != 0 counter name marked
				meta mark and 4 != 0 counter name foreign
			}
		}
	END
}

unwatch_marks()
{
	nft delete table inet watch
}

# seen COUNTER: prints how many packets a counter of watch_marks has
seen()
{
	nft list counter inet watch "$1" | awk '$1 == "packets" { print $2 }'
}

kernel_before()
{
	local major minor

	IFS=.- read -r major minor _ < <(uname -r)
	[ $((major * 100 + minor)) -lt "$1" ]
}
