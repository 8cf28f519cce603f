# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Helpers for steering: three hosts in a row, each in a network namespace.
#
#     client .2 --- 198.18.0.0/24 --- .1 router .1 --- 198.19.0.0/24 --- .2 beyond
#                                     r0        r1
#
# The router is the file's own namespace, and shunt is loaded there. beyond has
# every address in 10.0.0.0/8 and 172.16.240.0/24 and answers on some ports, so
# that what is not steered gets an answer too, and another one.
#
# Under emulation a process takes a tenth of a second, jq more than one; so what
# is done for each packet does with few. See also quickly().
#
# Addresses are written for IPv4 throughout. With family=6 the IPv6 address
# fd00::a01:203 stands for 10.1.2.3, and ::1 for 127.0.0.1.

load ../lib/common

# shellcheck disable=SC2034 # for the tests
ROUTER_MAC=02:00:00:00:00:01
BEYOND_PORTS=(79 80 85 90 91 443 5060 5061)
OTHER_DIR=/sys/fs/bpf/other
family=4
asking=client
declare -gA asker_reads asker_writes

# quickly COMMAND...: without bats' trap, which takes longer than most commands
# that it is called before. It must tell failure by its status.
quickly()
{
	local result=0

	set +T
	"$@" || result=$?
	set -T
	return $result
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

# For setup_file(). beyond's listeners run all the time.
make_hosts()
{
	local port
	local -a at=()

	BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	netns client
	netns beyond
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	router_links | ip -batch -
	client_links | "${client[@]:?}" ip -batch -
	beyond_links | "${beyond[@]:?}" ip -batch -
	for port in "${BEYOND_PORTS[@]}"; do
		at+=(tcp 0.0.0.0 "$port" tcp :: "$port" udp 0.0.0.0 "$port" udp :: "$port")
	done
	serve beyond beyond --name beyond "${at[@]}"
}

# For teardown_file().
remove_hosts()
{
	kill "$(cat "$BATS_FILE_TMPDIR/beyond.pid")"
	BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	remove_netns
}

# For setup(): what runs a command in each.
find_hosts()
{
	# shellcheck disable=SC2034
	router=()
	client=(nsenter --net="$BATS_FILE_TMPDIR/netns-client" --)
	beyond=(nsenter --net="$BATS_FILE_TMPDIR/netns-beyond" --)
}

# A second instance.
other()
{
	shunt --pin-dir "$OTHER_DIR" "$@"
}

# map_update, map_delete_elem
by_name()
{
	"${SHUNT%/*}/$1" "${@:2}" 3>&-
}

# What 'shunt load' may change.
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

load_steer()
{
	# what a test that failed may have left
	tc qdisc del dev r0 clsact 2>/dev/null || true
	host_state >"$BATS_TEST_TMPDIR/before"
	shunt load --iface r0
}

# Takes the present shunt off and loads it on these interfaces.
reload_steer()
{
	unload
	shunt load "$@"
}

# For teardown(): nothing runs any more, and the router is as it was.
clean_up_steer()
{
	end_all
	unload
	[ ! -e "$OTHER_DIR" ] || other unload
	[ ! -e "$PIN_DIR" ]
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
}

# --- addresses ---------------------------------------------------------------

# The answers of these come in a variable, to do without processes.

# address 10.1.2.3: REPLY is that in the family at hand
address()
{
	local a b c d

	REPLY=$1
	[ $family = 6 ] || return 0
	case $1 in
	127.0.0.1) REPLY=::1 ;;
	0.0.0.0) REPLY=:: ;;
	*)
		IFS=. read -r a b c d <<<"$1"
		printf -v REPLY 'fd00::%x:%x' $((a << 8 | b)) $((c << 8 | d)) ;;
	esac
}

# endpoint 10.1.2.3 80: REPLY is ADDRESS:PORT in the family at hand
endpoint()
{
	address "$1"
	[ $family = 4 ] || REPLY="[$REPLY]"
	REPLY+=:$2
}

# translate WORD...: the array words is those words in the family at hand
translate()
{
	words=()
	for REPLY; do
		if [ $family = 4 ] || [[ ! $REPLY =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+ ]]; then
			:
		elif [ "$REPLY" = 0.0.0.0/0 ]; then
			REPLY=::/0
		elif [[ $REPLY =~ (.*)/(.*) ]]; then
			address "${BASH_REMATCH[1]}"
			REPLY+=/$((BASH_REMATCH[2] + 96))
		elif [[ $REPLY =~ (.*):(.*) ]]; then
			endpoint "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
		else
			address "$REPLY"
		fi
		words+=("$REPLY")
	done
}

# add RULE..., del RULE...: as shunt steer, in the family at hand
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

# each_way SCENARIO: once for each protocol, which is its argument, and family,
# without rules to begin with
each_way()
{
	each_family "$1" tcp
	each_family "$1" udp
}

# each_family SCENARIO PROTO
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

# serve NAME PLACE WORD...: peers/tproxy.c on the router, or beyond
serve()
{
	local -n where=$2

	spawn "$1" "${where[@]}" "$PEERS/tproxy" "${@:3}"
	said "$1" ready
}

# serve_router NAME [OPTION]... PORT...: listeners on the router's loopback
# addresses, for both protocols.
serve_router()
{
	local name=$1 port
	local -a options=() at=()

	shift
	while [[ $1 == -* ]]; do
		options+=("$1")
		shift
	done
	for port; do
		at+=(tcp 127.0.0.1 "$port" tcp ::1 "$port"
			udp 127.0.0.1 "$port" udp ::1 "$port")
	done
	serve "$name" router "${options[@]}" "${at[@]}"
}

# stops NAME: ends what serve began, and waits until it is gone
stops()
{
	kill "$(cat "$BATS_TEST_TMPDIR/$1.pid")"
	wait_for ended "$1"
	rm "$BATS_TEST_TMPDIR/$1".*
}

# --- who answers -------------------------------------------------------------

# One process for each place does all the asking there.
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

# ask [OPTION...] PROTO ADDRESS PORT: the answer is in the variable answer; see
# peers/ask.c
ask()
{
	[ -n "${asker_reads[$asking]:-}" ] || start_asker "$asking"
	translate "$@"
	echo "${words[*]}" >&"${asker_reads[$asking]}"
	read -rt 30 answer <&"${asker_writes[$asking]}"
}

# from PLACE COMMAND...: asked there, not by the client
from()
{
	local asking=$1

	"${@:2}"
}

# meets VIA PROTO ADDRESS PORT [FROM [SPORT]]: the client's packet gets the
# answer of the listener VIA (a port, or a name), and the answer comes from
# where the packet went to.
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
	# where it listens itself, its sockets for flows are as good as any
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

# predicted VIA PROTO ADDRESS PORT [FROM [SPORT]]: 'shunt steer test' says so
# too, of a packet on r0.
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

# Both.
steers()
{
	meets "$@" && predicted "$@"
}

# --- flows that stay ---------------------------------------------------------

# talk NAME [OPTION...] PROTO ADDRESS PORT: for tell and said
talk()
{
	translate "${@:2}"
	spawn "$1" "${client[@]}" "$PEERS/ask" --stay "${words[@]}"
}

# more_lines NAME COUNT: it has printed more than that; they are in lines.
more_lines()
{
	mapfile -t lines <"$BATS_TEST_TMPDIR/$1.out"
	[ ${#lines[@]} -gt "$2" ]
}

# exchange NAME TEXT: sends on; the answer has that text.
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

# counter NAME: of status
counter()
{
	local status

	status=$(shunt -j status)
	[[ $status =~ \"$1\":([0-9]+) ]]
	echo "${BASH_REMATCH[1]}"
}

# counted NAME LEAST
counted()
{
	[ "$(counter "$1")" -ge "$2" ]
}

# misses: of the only rule
misses()
{
	local rules

	rules=$(shunt steer list)
	[[ $rules =~ misses\ ([0-9]+) ]]
	echo "${BASH_REMATCH[1]}"
}

# Counts the packets that come to the router's routing, by their mark.
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

# seen COUNTER: how many so far
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

# --- a plain reading of the precedence ---------------------------------------

# random_script SEED: lines "do WORD..." for shunt steer, and lines "test
# WORD... | SERVICE..." with the services of which the rule that is met must
# have one ("none" for no rule).
random_script()
{
	awk -v seed="$1" '
	function pick(n) { return int(rand() * n) }

	function masked(addr, len) { return addr - addr % 2 ^ (32 - len) }

	function text(v6, addr) {
		if (v6)
			return sprintf("fd00::%x:%x", int(addr / 65536), addr % 65536)
		return sprintf("%d.%d.%d.%d", int(addr / 16777216), int(addr / 65536) % 256,
			int(addr / 256) % 256, addr % 256)
	}

	function range(low, high) { return low == high ? low : low "-" high }

	# the words that say what rule i matches
	function match_of(i, words) {
		words = proto[i] " dst " text(v6[i], dst[i]) "/" dst_len[i] + 96 * v6[i]
		if (src_len[i])
			words = words " src " text(v6[i], src[i]) "/" src_len[i] + 96 * v6[i]
		if (dlow[i] != 1 || dhigh[i] != 65535)
			words = words " dport " range(dlow[i], dhigh[i])
		if (slow[i])
			words = words " sport " range(slow[i], shigh[i])
		return iface[i] ? words " iface " iface[i] : words
	}

	function write_add(i) {
		print "do add " match_of(i) (pick(3) ? " to " (v6[i] ? "[::1]" : "127.0.0.1") \
			":" 1 + pick(65535) : " pass") " service " service[i]
	}

	# Few addresses and lengths, so that prefixes nest and rules overlap.
	function make_rule(i) {
		v6[i] = pick(2)
		proto[i] = pick(2) ? "tcp" : "udp"
		dst_len[i] = 4 * pick(9)
		dst[i] = masked(address[pick(6)], dst_len[i])
		src_len[i] = pick(2) * 8 * (1 + pick(4))
		src[i] = masked(address[pick(6)], src_len[i])
		dlow[i] = slow[i] = 0
		dhigh[i] = shigh[i] = 65535
		if (pick(3)) {
			dlow[i] = 1 + pick(20)
			dhigh[i] = dlow[i] + pick(3) * pick(20)
		} else {
			dlow[i] = 1
		}
		if (!pick(3)) {
			slow[i] = 1 + pick(10)
			shigh[i] = slow[i] + pick(10)
		}
		iface[i] = pick(5) ? "" : "r" pick(2)
		service[i] = "r" i
		live[i] = 1
	}

	function is_met(i) {
		return live[i] && v6[i] == p_v6 && proto[i] == p_proto &&
			masked(p_dst, dst_len[i]) == dst[i] && masked(p_src, src_len[i]) == src[i] &&
			p_dport >= dlow[i] && p_dport <= dhigh[i] && p_sport >= slow[i] &&
			p_sport <= shigh[i] && (!iface[i] || iface[i] == p_iface)
	}

	# The smaller, the earlier.
	function rank(i) {
		return sprintf("%02d %02d %05d %05d %d", 32 - dst_len[i], 32 - src_len[i],
			dhigh[i] - dlow[i], shigh[i] - slow[i], !iface[i])
	}

	function write_test(i, best, wins) {
		p_v6 = pick(2)
		p_proto = pick(2) ? "tcp" : "udp"
		p_dst = address[pick(6)] + (pick(3) ? 0 : pick(16))
		p_src = address[pick(6)]
		p_dport = 1 + pick(40)
		p_sport = 1 + pick(20)
		p_iface = "r" pick(2)
		for (i = 0; i < rules; i++) {
			if (!is_met(i) || (best && rank(i) > best))
				continue
			wins = rank(i) == best ? wins " " service[i] : service[i]
			best = rank(i)
		}
		print "test " p_proto " dst " text(p_v6, p_dst) " dport " p_dport " src " \
			text(p_v6, p_src) " sport " p_sport " iface " p_iface " | " (wins ? wins : "none")
	}

	BEGIN {
		srand(seed)
		rules = 80
		# 10.0.0.0 and others ever closer to it
		for (i = 0; i < 6; i++)
			address[i] = 167772160 + pick(2) * 2 ^ (24 - 4 * i) + 16 * pick(2)
		for (i = 0; i < rules; i++) {
			do make_rule(i); while (match_of(i) in made)
			made[match_of(i)] = 1
			write_add(i)
		}
		for (i = 0; i < 60; i++)
			write_test()
		for (i = 0; i < rules; i++)
			if (!pick(3)) {
				live[i] = 0
				print "do del " match_of(i)
			} else if (!pick(4)) {
				service[i] = "again" i
				write_add(i)
			}
		for (i = 0; i < 60; i++)
			write_test()
	}'
}

# play SCRIPT: does what random_script says, and shows the tests that came out
# otherwise.
play()
{
	quickly follow "$1" >"$BATS_TEST_TMPDIR/answers"
	paste -d '|' <(grep ^test "$1") \
		<(jq -r '.rule.service // "none"' "$BATS_TEST_TMPDIR/answers") |
		awk -F '|' '!index($2 " ", " " $3 " ") { print; bad = 1 } END { exit bad }'
}

follow()
{
	local verb words

	while read -r verb words; do
		words=${words% | *}
		[ "$verb" != test ] || words="test $words"
		# shellcheck disable=SC2086 # words
		shunt -j steer $words || return
	done <"$1"
}
