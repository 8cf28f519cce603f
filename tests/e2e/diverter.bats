#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The external diverter. The words are those of ziti-router
# (tunnel/intercept/tproxy/tproxy_linux.go). ziti-router gives a service up when a call
# fails.

bats_require_minimum_version 1.5.0
load ../lib/common

SERVICES=2000
PROCESSES=8

setup()
{
	shunt load --iface lo
}

teardown()
{
	clean_up
}

diverter()
{
	"${SHUNT%/*}/shunt-diverter" "$@" 3>&-
}

# insert: the call of a router, ADDR LEN PROTO LOW HIGH PORT SERVICE [IFACE]
insert()
{
	diverter -I -c "$1" -m "$2" -p "$3" -o 0.0.0.0 -n 0 -l "$4" -h "$5" -t "$6" -s "$7" ${8:+-N "$8"}
}

# delete: the call of a router, ADDR LEN PROTO LOW HIGH [IFACE]
delete()
{
	diverter -D -c "$1" -m "$2" -p "$3" -o 0.0.0.0 -n 0 -l "$4" -h "$5" ${6:+-N "$6"}
}

rules()
{
	shunt save rules | grep -v '^#'
}

@test "diverter: -V prints the version; if nothing is loaded, it fails with the reason" {
	[ "$(diverter -V)" = "$(shunt --version | cut -d' ' -f2)" ]
	[ "$(shunt diverter -V)" = "$(diverter -V)" ]
	unload
	run -1 diverter -V
	[[ $output == *"not loaded"* ]]
}

@test "diverter: SHUNT_PIN_DIR names the pins: ziti-router can give no option" {
	local SHUNT_PIN_DIR=/sys/fs/bpf/other

	insert 10.1.2.3 32 tcp 80 80 33001 a
	export SHUNT_PIN_DIR
	run -1 diverter -V
	[[ $output == *"/sys/fs/bpf/other"* ]]
	shunt load --iface lo --mark 0x2000000 --table 20561
	diverter -V
	[ -z "$(rules)" ]
	insert 10.1.2.3 32 tcp 80 80 33002 b
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33002 service b" ]
	# --pin-dir wins, and an empty SHUNT_PIN_DIR is ignored
	[ "$(shunt --pin-dir "$PIN_DIR" save | grep -c 'service a')" = 1 ]
	[ "$(SHUNT_PIN_DIR='' shunt save | grep -c 'service a')" = 1 ]
	shunt unload
	export -n SHUNT_PIN_DIR
}

@test "diverter: what the router inserts and deletes" {
	insert 10.1.2.3 32 tcp 80 80 33001 6Xn.-pZ8
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33001 service 6Xn.-pZ8" ]
	insert 10.1.2.3 32 tcp 80 80 33001 6Xn.-pZ8
	insert 10.1.2.3 32 tcp 80 80 44001 6Xn.-pZ8 # the router was restarted
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 to 127.0.0.1:44001 service 6Xn.-pZ8" ]
	diverter -I -c 10.1.0.0 -m 16 -p udp -o 192.168.1.0 -n 24 -l 1 -h 65535 -t 33002 -s b
	shunt diverter -L | grep -q 'udp dst 10.1.0.0/16 src 192.168.1.0/24 to 127.0.0.1:33002 service b'
	[ "$(diverter -L -p tcp | wc -l)" = 1 ]
	[ "$(diverter -L -c 10.1.0.0 -m 16 | wc -l)" = 1 ]
	[ "$(shunt -j diverter -L | jq length)" = 2 ]
	delete 10.1.2.3 32 tcp 80 80
	diverter -D -c 10.1.0.0 -m 16 -p udp -o 192.168.1.0 -n 24 -l 1 -h 65535
	[ -z "$(rules)" ]
	delete 10.1.2.3 32 tcp 80 80 2>&1 | grep 'no such rule: -D .*-c 10.1.2.3 .*; nothing to delete'
}

@test "diverter: several services on one prefix, overlapping ranges, host bits" {
	insert 10.1.0.9 16 tcp 1 1024 33001 a
	insert 10.1.0.0 16 tcp 80 90 33002 b
	insert 10.1.0.0 16 tcp 85 2000 33003 c
	insert 10.1.0.0 16 udp 80 90 33004 d
	insert 10.1.2.0 24 tcp 1 65535 33005 e
	[ "$(status steer.rules)" = 5 ]
	shunt steer test tcp src 1.1.1.1 dst 10.1.9.9:85 | head -1 | grep -w b
	shunt steer test tcp src 1.1.1.1 dst 10.1.9.9:91 | head -1 | grep -w a
	shunt steer test tcp src 1.1.1.1 dst 10.1.9.9:1500 | head -1 | grep -w c
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.9:85 | head -1 | grep -w e
	delete 10.1.0.0 16 tcp 80 90
	shunt steer test tcp src 1.1.1.1 dst 10.1.9.9:85 | head -1 | grep -w a
	[ "$(status steer.rules)" = 4 ]
}

@test "diverter: -N: rules for interfaces, also for one that does not exist yet" {
	ip link add w0 type veth peer name w1
	insert 10.1.2.3 32 tcp 80 80 33001 a
	insert 10.1.2.3 32 tcp 80 80 33002 a lo
	insert 10.1.2.3 32 tcp 80 80 33003 a w0
	insert 10.1.2.3 32 tcp 80 80 33004 a later0 2>&1 | grep "no interface 'later0' yet"
	[ "$(status steer.rules)" = 4 ]
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.3:80 iface lo | head -1 | grep 33002
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.3:80 iface w0 | head -1 | grep 33003
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.3:80 iface w1 | head -1 | grep 33001
	ip link add later0 type veth peer name later1
	insert 10.1.2.3 32 tcp 80 80 33004 a later0
	[ "$(status steer.rules)" = 4 ]
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.3:80 iface later0 | head -1 | grep 33004
	delete 10.1.2.3 32 tcp 80 80 w0
	delete 10.1.2.3 32 tcp 80 80 later0
	delete 10.1.2.3 32 tcp 80 80
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 iface lo to 127.0.0.1:33002 service a" ]
	ip link del w0
	ip link del later0
}

@test "diverter: IPv6 services, for which ziti-router gives 0.0.0.0/0 as the source" {
	insert fd00:1::7 64 tcp 80 90 33001 a
	[ "$(rules)" = "tcp dst fd00:1::/64 dport 80-90 to [::1]:33001 service a" ]
	delete fd00:1:: 64 tcp 80 90
	[ -z "$(rules)" ]
}

@test "diverter: a source of the other family: no packet matches, and the call succeeds" {
	diverter -I -c fd00::1 -m 128 -p tcp -o 10.0.0.0 -n 8 -l 1 -h 2 -t 3 -s a
	diverter -I -c 10.1.2.3 -m 32 -p tcp -o fd00:: -n 64 -l 1 -h 2 -t 3 -s a
	[ -z "$(rules)" ]
	diverter -D -c 10.1.2.3 -m 32 -p tcp -o fd00:: -n 64 -l 1 -h 2 2>&1 | grep 'nothing to do'
}

@test "diverter: deletions with words left out; -t 0, and strange ids" {
	insert 10.1.0.0 16 tcp 80 90 33001 a
	insert 10.1.0.0 16 tcp 443 443 33001 a
	insert 10.1.0.0 16 udp 80 90 33001 a
	insert 10.1.0.0 24 udp 80 90 33001 a
	diverter -D -c 10.1.0.0 -m 16 -p tcp
	[ "$(status steer.rules)" = 2 ]
	diverter -D -c 10.1.0.0 -m 16
	[ "$(status steer.rules)" = 1 ]
	diverter -D -c 10.1.0.0 -m 24 -l 80 -h 90
	[ "$(status steer.rules)" = 0 ]
	diverter -D -c 10.1.0.0 -m 24
	insert 10.1.0.0 16 tcp 0 0 0 'an id / of "thirty-two" characters!'
	[ "$(rules)" = "tcp dst 10.1.0.0/16 pass service an_id___of__thirty-two__charact" ]
}

@test "diverter: wrong words are refused by name" {
	local line

	while IFS='|' read -r line word; do
		# shellcheck disable=SC2086 # words
		run ! diverter $line
		echo "$line: $output"
		[[ $output == *"$word"* ]]
	done <<-END
		-I|-c
		-I -c 10.1.2.300 -m 32 -p tcp -l 1 -h 2 -t 3|10.1.2.300
		-I -c 10.1.2.3 -m 33 -p tcp -l 1 -h 2 -t 3|33
		-I -c 10.1.2.3 -m 32 -p sctp -l 1 -h 2 -t 3|sctp
		-I -c 10.1.2.3 -m 32 -l 1 -h 2 -t 3|-p
		-I -c 10.1.2.3 -m 32 -p tcp -t 3|-l
		-I -c 10.1.2.3 -m 32 -p tcp -l 2 -h 1 -t 3|reversed
		-I -c 10.1.2.3 -m 32 -p tcp -l 1 -h 65536 -t 3|65536
		-I -c 10.1.2.3 -m 32 -p tcp -l 1 -h 2|-t
		-I -c 10.1.2.3 -m 32 -p tcp -l 1 -h 2 -t x|x
		-I -c 10.0.0.0 -m 08 -p tcp -l 1 -h 2 -t 3|-m '08'
		-I -c 10.1.2.3 -m 32 -p tcp -l 00080 -h 90 -t 3|-l '00080'
		-I -c 10.1.2.3 -m 32 -p tcp -l 1 -h 2 -t 03|-t '03'
		-I -c 10.1.2.3 -m 32 -p tcp -l 1 -h 2 -t 3 -N eth?|'eth?': a pattern
		-I -D|-D
		-I -c|-c
		-x|-x
		now|now
		-c 10.1.2.3|-I
	END
	[ "$(status steer.rules)" = 0 ]
	# and deletions that make no sense delete nothing
	insert 10.1.2.3 32 tcp 80 80 33001 a
	while IFS='|' read -r line word; do
		# shellcheck disable=SC2086 # words
		run -2 diverter -D $line
		echo "$line: $output"
		[[ $output == *"$word"* ]]
		[ ${#lines[@]} = 1 ]
	done <<-END
		-m 32|-c ADDR
		-c nope|-c 'nope'
		-c 10.1.2.3 -m x|-m 'x'
		-c 10.1.2.3 -c 10.1.2.3|'-c' is given twice
		-c 10.1.2.3 -p icmp|-p 'icmp'
		-c 10.1.2.3 -p tcp -n 0|-o ADDR
		-c 10.1.2.3 -p tcp -o x|-o 'x'
		-c 10.1.2.3 -p tcp -l 80 -h x|-h 'x'
		-c 10.1.2.3 -p tcp -l 80 -h 80 -N interface-names-end-here|'interface-names-end-here'
		-c 10.1.2.3 -p tcp -l 80 -h 80 -N a/b|'a/b'
	END
	run -2 diverter -D -c 10.1.2.3 -p tcp -l 80 -h 80 -N ''
	[ "$(status steer.rules)" = 1 ]
	unload
	run ! insert 10.1.2.3 32 tcp 80 80 33001 a
	[[ $output == *"not loaded"* ]]
}

# --- a router's life ------------------------------------------------------------

# Services, several on each prefix, with ranges that overlap, a tenth of them
# for an interface. All are added, a third changed, a fifth deleted, and then
# the router is restarted, which has other ports. With process=P: the words of
# that process's calls; else the rules at the end.
life()
{
	awk -v services=$SERVICES -v processes=$PROCESSES -v process="${1:--1}" '
	function service(n) {
		proto = n % 4 == 3 ? "udp" : "tcp"
		prefix = "10." int(n / 100) "." int(n / 10) % 10 ".0"
		low = 100 + n
		high = low + n % 3 * 50
		iface = n % 10 == 7 ? "lo" : ""
		match_words = "-c " prefix " -m 24 -p " proto " -o 0.0.0.0 -n 0 -l " low " -h " high
		named = iface ? " -N " iface : ""
	}
	function insert(port) { print "-I " match_words " -t " port " -s s" n named }
	function del() { print "-D " match_words named }
	function ends() { return n % 15 == 5 || n % 15 == 10 || n % 15 == 11 }
	BEGIN {
		for (n = process; process >= 0 && n < services; n += processes) {
			service(n)
			insert(20000 + n)
			if (n % 3 == 0) { del(); insert(40000 + n) }
			if (ends()) del()
		}
		for (n = process; process >= 0 && n < services; n += processes) {
			service(n)
			if (!ends()) insert(50000 + n)
		}
		for (n = 0; process < 0 && n < services; n++) {
			service(n)
			if (!ends())
				print proto " dst " prefix "/24 dport " low (low < high ? "-" high : "") \
					(iface ? " iface " iface : "") " to 127.0.0.1:" 50000 + n " service s" n
		}
	}'
}

# Makes the calls in a file, one by one, without bats: its trap takes longer than a call.
make_calls()
{
	xargs -L 1 "${SHUNT%/*}/shunt-diverter" <"$1" 3>&-
}

router()
{
	make_calls "$BATS_TEST_TMPDIR/calls$1" || echo failed
	echo ended
}

@test "diverter: 2,000 services inserted and deleted by 8 processes at once" {
	local p

	for ((p = 0; p < PROCESSES; p++)); do
		life $p >"$BATS_TEST_TMPDIR/calls$p"
		spawn "router$p" router $p
	done
	for ((p = 0; p < PROCESSES; p++)); do
		PATIENCE=200 said "router$p" ended
		run ! grep failed "$BATS_TEST_TMPDIR/router$p.out"
	done
	diff <(rules | sort) <(life | sort)
	[ "$(status steer.rules)" = "$(life | wc -l)" ]
}

many()
{
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		printf "tcp dst 10.%d.%d.%d dport %d to 127.0.0.1:9999\n", i / 65536, i / 256 % 256,
			i % 256, 1 + i % 60000 }'
}

calls()
{
	local i

	for ((i = 0; i < 100; i++)); do
		echo "-I -c 10.0.0.0 -m 24 -p tcp -o 0.0.0.0 -n 0 -l $((i + 1)) -h $((i + 1)) -t $1 -s s$i"
		echo "-I -c 11.$i.0.0 -m 16 -p tcp -o 0.0.0.0 -n 0 -l 1 -h 65535 -t $1 -s s$i"
		echo "-D -c 11.$i.0.0 -m 16 -p tcp -o 0.0.0.0 -n 0 -l 1 -h 65535"
	done
}

@test "diverter: a call takes at most 3 ms of CPU time with 100,000 rules" {
	local seconds

	many 100000 >"$BATS_TEST_TMPDIR/rules"
	shunt apply "$BATS_TEST_TMPDIR/rules"
	calls 2000 >"$BATS_TEST_TMPDIR/calls"
	make_calls "$BATS_TEST_TMPDIR/calls"
	calls 3000 >"$BATS_TEST_TMPDIR/calls"
	TIMEFORMAT='%U %S'
	seconds=$( { time make_calls "$BATS_TEST_TMPDIR/calls"; } 2>&1)
	echo "user and system seconds for 300 calls: $seconds"
	awk -v s="$seconds" 'BEGIN { split(s, t, " "); exit !((t[1] + t[2]) / 300 < 0.003) }'
	[ "$(status steer.rules)" = 100100 ]
}
