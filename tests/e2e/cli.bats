#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The command line: wrong words, and requests that can't be met, get one line and the right
# exit code, and change nothing. Every command may be repeated.

load ../lib/common

setup_file()
{
	ip link add v0 type veth peer name v1
	ip link set v0 addrgenmode none up
	ip link set v1 addrgenmode none up
}

teardown_file()
{
	ip link del v0
}

setup()
{
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
}

teardown()
{
	local dir

	for dir in /sys/fs/bpf/*/; do
		shunt --pin-dir "${dir%/}" unload
	done
	clean_up
	diff "$BATS_TEST_TMPDIR/before" <(host_state)
	[ -z "${MADE:-}" ] || umount -R /run
}

OUT=$BATS_TEST_TMPDIR/out
ERR=$BATS_TEST_TMPDIR/err

# The command under test; a test may set another.
program=(timeout 30 "$SHUNT")

# host_state: what a load may change
host_state()
{
	ip rule
	ip -6 rule
	ip route show table all | sed 's/ linkdown//'
	ip -6 route show table all | sed 's/ linkdown//'
	tc qdisc
	find /sys/fs/bpf -mindepth 1 -printf '%P %m\n' | sort
}

# state: the same, and what status says
state()
{
	host_state
	shunt -j status
	shunt -j steer list || true
}

# runs CODE WORD...: the program exits with this code. Its output is in $OUT and $ERR.
runs()
{
	local expected=$1 code=0

	"${program[@]}" "${@:2}" >"$OUT" 2>"$ERR" 3>&- || code=$?
	[ $code = "$expected" ] && return
	echo "exit code $code, not $expected: ${program[*]} ${*:2}"
	cat "$OUT" "$ERR"
	return 1
}

one_line()
{
	[ "$(wc -l <"$1")" = 1 ] && grep -qF -- "$2" "$1" && return
	echo "not one line with: $2"
	cat "$1"
	return 1
}

empty()
{
	[ ! -s "$1" ] && return
	echo "not empty: ${1##*/}"
	cat "$1"
	return 1
}

# complains CODE TEXT WORD...: prints one line with the text; with -j as an object
complains()
{
	local text=$2 error

	runs "$1" "${@:3}" || return
	empty "$OUT" || return
	one_line "$ERR" "$text" || return
	grep -q '^shunt: ' "$ERR" || return

	runs "$1" -j "${@:3}" || return
	empty "$ERR" || return
	error=$(jq -r 'if keys == ["error"] then .error else empty end' "$OUT")
	[[ $error == *"$text"* ]] && return
	echo "no error object with: $text"
	cat "$OUT"
	return 1
}

# fails CODE TEXT WORD...: the same, and nothing on the host changes
fails()
{
	local before

	before=$(state)
	quickly complains "$@" && diff <(echo "$before") <(state)
}

# all_fail CODE: reads a line "TEXT | WORD..." for each command that has to fail
all_fail()
{
	local before

	before=$(state)
	quickly all_complain "$1" || return
	diff <(echo "$before") <(state)
}

all_complain()
{
	local text words

	while IFS='|' read -r text words; do
		read -ra words <<<"$words"
		complains "$1" "${text% }" "${words[@]}" || return
	done
}

# says TEXT WORD...: the command succeeds with this text on stderr, with -j without it
says()
{
	runs 0 "${@:2}" || return
	one_line "$ERR" "$1" || return
	runs 0 -j "${@:2}" || return
	empty "$ERR"
}

# warns TEXT WORD...: the command succeeds with this text on stderr, with -j too
warns()
{
	runs 0 "${@:2}" || return
	grep -q "^shunt: warning: .*$1" "$ERR" || return
	runs 0 -j "${@:2}" || return
	one_line "$ERR" "$1"
}

silently()
{
	runs 0 "$@" && empty "$OUT" && empty "$ERR"
}

add_some_rules()
{
	shunt steer add tcp dst 10.1.0.0/16 dport 80-90 to 127.0.0.1:9001
	shunt steer add udp dst fd00::/8 iface v0 pass
}

load_both()
{
	shunt load --iface v0 --cgroup "$CGROUP=eager"
	add_some_rules
}

# --- wrong words: exit code 2 ------------------------------------------------

wrong_words()
{
	cat <<-END
		unknown command 'frobnicate' | frobnicate
		unknown command '--frob' | --frob
		unknown command 'Load' | Load --iface v0
		--pin-dir: a directory is missing | status --pin-dir
		verb is missing | steer
		verb is missing | trace
		'frobnicate' | steer frobnicate
		'frobnicate' | trace frobnicate
		'frobnicate' | trace on frobnicate
		'frobnicate' | load frobnicate
		'--frob' | load --iface v0 --frob x
		--iface: a value is missing | load --iface
		nothing to do | load
		port:N | load --cgroup $CGROUP --exclude ssh
		'0' | load --cgroup $CGROUP --exclude port:0
		'10.1.2.3/16' | load --cgroup $CGROUP --exclude 10.1.2.3/16
		'frobnicate' | run frobnicate
		'sometimes' | load --cgroup $CGROUP=sometimes
		--max-bytes '0' | load --iface v0 --max-bytes 0
		--max-bytes '-1' | load --iface v0 --max-bytes -1
		--max-bytes '1k' | load --iface v0 --max-bytes 1k
		--max-bytes '18446744073709551616' | load --iface v0 --max-bytes 18446744073709551616
		--max-messages '0' | load --iface v0 --max-messages 0
		--host-bytes 'x' | load --iface v0 --host-bytes x
		--mark '0' | load --iface v0 --mark 0
		--mark '3' | load --iface v0 --mark 3
		--mark '0x100000000' | load --iface v0 --mark 0x100000000
		--table '0' | load --iface v0 --table 0
		--table '254' | load --iface v0 --table 254
		--table 'main' | load --iface v0 --table main
		'frobnicate' | unload frobnicate
		--timeout: a value is missing | unload --timeout
		--timeout '-1' | unload --timeout -1
		--timeout '1.5' | unload --timeout 1.5
		--timeout '010' | unload --timeout 010
		'frobnicate' | unload --timeout 1 frobnicate
		'frobnicate' | status frobnicate
		'frobnicate' | check frobnicate
		'frobnicate' | sockets frobnicate
		'frobnicate' | metrics frobnicate
		'frobnicate' | version frobnicate
		'frobnicate' | monitor frobnicate
		'--frob' | monitor --frob
		--iface: a value is missing | monitor --iface
		--top '0' | monitor --top 0
		--top 'x' | monitor --top x
		--interval '0' | monitor --interval 0
		--interval '3601' | monitor --interval 3601
		--sort 'size' | monitor --sort size
		ends where | monitor tcp and
		--monitor: a value is missing | load --monitor
	END
}

wrong_rules()
{
	cat <<-END
		rule is missing | steer add
		'icmp' | steer add icmp dst 10.0.0.0/8 pass
		needs 'dst | steer add tcp to 127.0.0.1:9001
		'dst': a value is missing | steer add tcp dst
		needs 'to ADDR:PORT' or 'pass' | steer add tcp dst 10.0.0.0/8
		'frobnicate' | steer add tcp dst 10.0.0.0/8 frobnicate
		'10.1.2' | steer add tcp dst 10.1.2 pass
		'10.1.2.256' | steer add tcp dst 10.1.2.256 pass
		'10.1.2.3/33' | steer add tcp dst 10.1.2.3/33 pass
		'10.1.2.3/' | steer add tcp dst 10.1.2.3/ pass
		'10.1.2.3/x' | steer add tcp dst 10.1.2.3/x pass
		'10.0.0.0/-8' | steer add tcp dst 10.0.0.0/-8 pass
		'10.0.0.0/8/8' | steer add tcp dst 10.0.0.0/8/8 pass
		'fd00::/129' | steer add tcp dst fd00::/129 pass
		'fd00::g' | steer add tcp dst fd00::g pass
		did you mean 10.1.0.0/16? | steer add tcp dst 10.1.2.3/16 pass
		'10.1.2.3/16' | steer add tcp dst 10.1.2.3/16 pass
		did you mean fd00::/64? | steer add tcp dst fd00::1/64 pass
		did you mean 10.2.0.0/16? | steer add tcp dst 10.0.0.0/8 src 10.2.3.4/16 pass
		'0' | steer add tcp dst 10.0.0.0/8 dport 0 pass
		'0-80' | steer add tcp dst 10.0.0.0/8 dport 0-80 pass
		'65536' | steer add tcp dst 10.0.0.0/8 dport 65536 pass
		'80-65536' | steer add tcp dst 10.0.0.0/8 dport 80-65536 pass
		'4294967376' | steer add tcp dst 10.0.0.0/8 dport 4294967376 pass
		did you mean 80-90? | steer add tcp dst 10.0.0.0/8 dport 90-80 pass
		'90-80' | steer add tcp dst 10.0.0.0/8 dport 90-80 pass
		'80-' | steer add tcp dst 10.0.0.0/8 dport 80- pass
		'-80' | steer add tcp dst 10.0.0.0/8 dport -80 pass
		'80-90-100' | steer add tcp dst 10.0.0.0/8 dport 80-90-100 pass
		'http' | steer add tcp dst 10.0.0.0/8 dport http pass
		'0' | steer add tcp dst 10.0.0.0/8 sport 0 pass
		'65536' | steer add tcp dst 10.0.0.0/8 sport 65536 pass
		did you mean 1-2? | steer add tcp dst 10.0.0.0/8 sport 2-1 pass
		'127.0.0.1': a port is missing | steer add tcp dst 10.0.0.0/8 to 127.0.0.1
		'[::1]': a port is missing | steer add tcp dst fd00::/8 to [::1]
		'127.0.0.1:0' | steer add tcp dst 10.0.0.0/8 to 127.0.0.1:0
		'127.0.0.1:65536' | steer add tcp dst 10.0.0.0/8 to 127.0.0.1:65536
		'localhost:80' | steer add tcp dst 10.0.0.0/8 to localhost:80
		'[127.0.0.1]:80' | steer add tcp dst 10.0.0.0/8 to [127.0.0.1]:80
		'[::1]x' | steer add tcp dst fd00::/8 to [::1]x
		'to [::1]:80' | steer add tcp dst 10.0.0.0/8 to [::1]:80
		'src fd00::/8' | steer add tcp dst 10.0.0.0/8 src fd00::/8 pass
		'dst' is given twice | steer add tcp dst 10.0.0.0/8 dst 10.0.0.0/8 pass
		either | steer add tcp dst 10.0.0.0/8 pass to 127.0.0.1:80
		'a/b' | steer add tcp dst 10.0.0.0/8 pass service a/b
		'a23456789012345678901234567890123' | steer add tcp dst 10.0.0.0/8 pass service a23456789012345678901234567890123
		'interface-names-end-here' | steer add tcp dst 10.0.0.0/8 pass iface interface-names-end-here
		'to 0.0.0.0:99' | steer add tcp dst 10.0.0.0/8 to 0.0.0.0:99
		'to 0.1.2.3:99' | steer add tcp dst 10.0.0.0/8 to 0.1.2.3:99
		a multicast address | steer add udp dst 10.0.0.0/8 to 224.0.0.1:99
		'to 239.255.255.255:99' | steer add udp dst 10.0.0.0/8 to 239.255.255.255:99
		the broadcast address | steer add udp dst 10.0.0.0/8 to 255.255.255.255:99
		'to [::]:99' | steer add tcp dst fd00::/8 to [::]:99
		'to [ff02::1]:99' | steer add udp dst fd00::/8 to [ff02::1]:99
		'to [::ffff:127.0.0.1]:99' | steer add tcp dst fd00::/8 to [::ffff:127.0.0.1]:99
		'10.0.0.0/08' | steer add tcp dst 10.0.0.0/08 pass
		'10.0.0.0/008' | steer add tcp dst 10.2.0.0/16 src 10.0.0.0/008 pass
		'00080' | steer add tcp dst 10.0.0.0/8 dport 00080 pass
		'080-90' | steer add tcp dst 10.0.0.0/8 dport 080-90 pass
		'80-090' | steer add tcp dst 10.0.0.0/8 sport 80-090 pass
		'127.0.0.1:080' | steer add tcp dst 10.0.0.0/8 to 127.0.0.1:080
		'v*': a pattern | steer add tcp dst 10.0.0.0/8 iface v* pass
		'v[01]': a pattern | steer add tcp dst 10.0.0.0/8 iface v[01] pass
		'v?': a pattern | steer del tcp dst 10.0.0.0/8 iface v?
		'..' | steer add tcp dst 10.0.0.0/8 iface .. pass
		'010' | steer prune --older-than 010
		rule is missing | steer del
		'10.1.2.3/16' | steer del tcp dst 10.1.2.3/16
		'90-80' | steer del tcp dst 10.1.0.0/16 dport 90-80
		'frobnicate' | steer flush frobnicate
		'frobnicate' | steer list frobnicate
		what to test | steer test
		'icmp' | steer test icmp src 10.0.0.1 dst 10.0.0.2
		needs 'src | steer test tcp dst 10.0.0.2:80
		needs 'dport | steer test tcp src 10.0.0.1 dst 10.0.0.2
		'10.0.0.2:0' | steer test tcp src 10.0.0.1 dst 10.0.0.2:0
		'65536' | steer test tcp src 10.0.0.1 dst 10.0.0.2 dport 65536
		one is IPv4 | steer test tcp src 10.0.0.1 dst [fd00::1]:80
		'10.0.0.0/8' | steer test tcp src 10.0.0.1 dst 10.0.0.0/8 dport 80
		'frobnicate' | steer test tcp src 10.0.0.1 dst 10.0.0.2 frobnicate 80
	END
}

@test "cli: wrong words, with nothing loaded" {
	wrong_words | all_fail 2
}

@test "cli: wrong words change nothing that is loaded" {
	load_both
	wrong_words | all_fail 2
}

@test "cli: wrong rules change nothing" {
	load_both
	wrong_rules | all_fail 2
}

@test "cli: empty words, and words of strange characters, are refused" {
	load_both
	fails 2 "''" ""
	fails 2 "''" steer add tcp dst "" pass
	fails 2 "''" steer add tcp dst 10.0.0.0/8 dport "" pass
	fails 2 "''" steer add tcp dst 10.0.0.0/8 pass service ""
	fails 2 "''" steer add tcp dst 10.0.0.0/8 pass iface ""
	fails 2 "--max-bytes ''" load --iface v0 --max-bytes ""
	fails 2 'a"\b' 'a"\b'
	fails 2 'grün' grün
}

# The old tools' names take no options.
fails_by_name()
{
	local before

	before=$(state)
	program=("${SHUNT%/*}/$3")
	runs "$1" "${@:4}"
	empty "$OUT"
	one_line "$ERR" "$2"
	diff <(echo "$before") <(state)
}

@test "cli: map_update and map_delete_elem: wrong words" {
	load_both
	fails_by_name 2 'Usage: ' map_update
	fails_by_name 2 'Usage: ' map_update 10.1.0.0 16 80 0
	fails_by_name 2 '10.1.0.0/33' map_update 10.1.0.0 33 80 0 9001
	fails_by_name 2 '10.1.0/16' map_update 10.1.0 16 80 0 9001
	fails_by_name 2 "'65536'" map_update 10.1.0.0 16 65536 0 9001
	fails_by_name 2 "'65536'" map_update 10.1.0.0 16 0 65536 9001
	fails_by_name 2 "'0'" map_update 10.1.0.0 16 0 0 0
	fails_by_name 2 '10.0.0.0/08' map_update 10.0.0.0 08 80 0 9001
	fails_by_name 2 "'00080'" map_update 10.1.0.0 16 00080 0 9001
	fails_by_name 2 "'09001'" map_update 10.1.0.0 16 80 0 09001
	fails_by_name 2 'Usage: ' map_delete_elem 10.1.0.0
	fails_by_name 2 '10.1.0.0/33' map_delete_elem 10.1.0.0 33
	unload
	fails_by_name 1 'not loaded' map_update 10.1.0.0 16 0 0 9001
	fails_by_name 1 'not loaded' map_delete_elem 10.1.0.0 16
}

# --- what can't be done: exit code 1 -----------------------------------------

@test "cli: load: an unknown interface, a missing cgroup" {
	fails 1 "'nope'" load --iface nope
	fails 1 "'nope'" load --iface v0 --iface nope
	fails 1 "'nope'" load --iface v0 --monitor nope
	fails 1 "'nope'" monitor --once --iface nope
	fails 1 "'nope'" load --cgroup nope=eager
	fails 1 "'/nope'" load --cgroup /nope=eager
	fails 1 "'/tmp' is not a directory of cgroup2" load --cgroup /tmp=eager --iface v0
	fails 1 "'interface-names-end-here'" load --iface interface-names-end-here
	load_both
	fails 1 "'nope'" load --iface nope
	fails 1 "'nope'" steer test tcp src 10.0.0.1 dst 10.0.0.2:80 iface nope
}

@test "cli: load: --exclude that would have no effect is refused" {
	fails 2 "'process:nginx'" load --cgroup "$CGROUP=eager" --exclude process:nginx
	fails 2 'no --cgroup' load --iface v0 --exclude port:80
	runs 0 load --cgroup "$CGROUP=eager" --exclude port:80
}

@test "cli: 'ip netns exec' hides the bpf file system" {
	own_run
	ip netns add shunt-test
	program=(timeout 30 ip netns exec shunt-test "$SHUNT")
	fails 1 nsenter load --iface lo
	fails 1 nsenter steer list
	fails 1 nsenter status
	fails 1 nsenter unload
	ip netns del shunt-test
}

@test "cli: in another network namespace a command says where it looks" {
	netns apart
	load_both
	program=(timeout 30 nsenter --net="$BATS_TEST_TMPDIR/netns-apart" -- "$SHUNT")
	runs 0 status
	grep -q 'in another network namespace' "$OUT"
	fails 1 "'nope': no such interface in the network namespace that shunt is loaded in" \
		steer test tcp dst 10.0.0.1:80 iface nope
	runs 0 steer add tcp dst 10.0.0.0/8 iface v0 pass
	program=(timeout 30 "$SHUNT")
	runs 0 status
	[ "$(grep -c 'in another network namespace' "$OUT")" = 0 ]
	remove_netns
}

@test "cli: commands say so when nothing is loaded" {
	fails 1 'not loaded' steer add tcp dst 10.0.0.0/8 pass
	fails 1 'not loaded' steer del tcp dst 10.0.0.0/8
	fails 1 'not loaded' steer list
	fails 1 'not loaded' steer flush
	fails 1 'not loaded' steer test tcp src 10.0.0.1 dst 10.0.0.2:80
	fails 1 'not loaded' sockets
	fails 1 'not loaded' trace on
	fails 1 'not loaded' trace off
}

# fixed OPTION HALF WORD...: load names the option that can't change
fixed()
{
	fails 1 "$1 can't change while $2 is loaded; 'shunt unload $2' first" load "${@:3}"
}

@test "cli: load again: settings that can't change while they are in force" {
	load_both
	fixed --mark steering --mark 0x2000000
	fixed --table steering --iface v1 --table 1
	fixed --max-flows steering --max-flows 7
	fixed --nat-flows nat --nat-flows 7
	fails 1 "is loaded as 'eager', not 'proven'" load --cgroup "$CGROUP" --max-bytes 4096
	[ "$(status bypass.max_bytes)" != 4096 ]
	runs 0 load --iface v0 --cgroup "$CGROUP=eager"
	grep -q 'already loaded' "$ERR"
}

@test "cli: load again: settings that change at once" {
	load_both
	runs 0 load --max-bytes 4096 --max-messages 7 --host-bytes 4096000 --max-rules 9
	[ "$(status bypass.max_bytes)" = 4096 ]
	[ "$(status bypass.max_messages)" = 7 ]
	[ "$(status bypass.host_bytes)" = 4096000 ]
	[ "$(status steer.max_rules)" = 9 ]
	runs 0 load --exclude port:22 --router-mark 7 --router-cgroup "$CGROUP" --nat-idle udp=7
	[ "$(shunt -j status | jq -c '.. | .excludes? // empty')" = '["port:22"]' ]
	runs 0 load --exclude port:23
	[ "$(shunt -j status | jq -c '.. | .excludes? // empty')" = '["port:22","port:23"]' ]
	# what is not named stays
	[ "$(status bypass.max_bytes)" = 4096 ]
}

@test "cli: load again: a setting of a half that is not loaded" {
	shunt load --iface v0
	fails 1 '--max-bytes: bypass is not loaded; give --cgroup, too' load --max-bytes 4096
	shunt unload
	shunt load --cgroup "$CGROUP=eager"
	fails 1 '--mark: steering is not loaded; give --iface, too' load --mark 4
}

@test "cli: commands without root say so" {
	local verb

	program=(setpriv --reuid=65534 --regid=65534 --clear-groups "$SHUNT")
	"${program[@]}" --version || skip "nobody can't run $SHUNT"
	load_both
	fails 1 'needs root' load --iface v0
	fails 1 'needs root' unload
	fails 1 'needs root' status
	fails 1 'needs root' check
	fails 1 'needs root' steer add tcp dst 10.0.0.0/8 pass
	fails 1 'needs root' steer list
	fails 1 'needs root' sockets
	fails 1 'needs root' monitor --once
	runs 1 metrics
	one_line "$ERR" 'needs root'
	fails 1 'needs root' trace on
	fails 1 'needs root' trace follow
	for verb in load unload check steer sockets trace; do
		runs 0 $verb help
	done
}

@test "cli: load on a kernel without BTF says so" {
	unshare --mount bash -euc 'mount -t tmpfs none /sys/kernel/btf; exec "$@"' - \
		true || skip "no /sys/kernel/btf to hide"
	program=(unshare --mount bash -euc 'mount -t tmpfs none /sys/kernel/btf; exec "$@"' - "$SHUNT")
	fails 1 '/sys/kernel/btf/vmlinux' load --iface v0
	fails 1 '/sys/kernel/btf/vmlinux' load --cgroup "$CGROUP=eager"
	runs 1 check
	grep -q '^FAIL  type info' "$OUT"
	# status and unload work all the same
	load_both
	runs 0 status
	runs 0 unload
}

@test "cli: --pin-dir: a directory that can't be used" {
	fails 1 "'$BATS_TEST_TMPDIR/pins'" --pin-dir "$BATS_TEST_TMPDIR/pins" load --iface v0
	fails 1 "'/sys/fs/bpf/no/pins'" --pin-dir /sys/fs/bpf/no/pins load --iface v0
	[ ! -e "$BATS_TEST_TMPDIR/pins" ]
}

@test "cli: output that can't be written is a failure" {
	[ -e /dev/full ] || skip "no /dev/full"
	OUT=/dev/full runs 1 status
	one_line "$ERR" stdout
	OUT=/dev/full runs 1 steer help
}

# --- a failed load leaves nothing behind -------------------------------------

@test "cli: load: the routing table is in use" {
	local add

	for add in 'ip route' 'ip -6 route'; do
		$add add local default dev lo table 20560
		fails 1 'routing table 20560 (' load --iface v0
		$add del local default dev lo table 20560
	done
	shunt --pin-dir /sys/fs/bpf/other load --iface v0
	fails 1 'routing table 20560 (' load --iface v0 --mark 0x2000000
	shunt --pin-dir /sys/fs/bpf/other unload
	shunt load --iface v0
}

@test "cli: load: lo is down" {
	ip link set lo down
	fails 1 "'lo' is down" load --iface v0
	ip link set lo up
	host_state >"$BATS_TEST_TMPDIR/before"
}

@test "cli: load: another program on the cgroup allows no second one" {
	local held=$CGROUP_ROOT/held maps

	mkdir "$held"
	shunt --pin-dir /sys/fs/bpf/other load --cgroup "$CGROUP=eager"
	bpftool cgroup attach "$held" sock_ops pinned /sys/fs/bpf/other/bypass/progs/shunt_eager 3>&-
	maps=$(own_maps)
	fails 1 "'$held'" load --iface v0 --cgroup "$CGROUP=eager" --cgroup "$held=eager"
	[ "$(own_maps)" = "$maps" ]
	[ "$(bpftool -j cgroup show "$CGROUP" |
		jq 'map(select(.attach_type == "cgroup_sock_ops")) | length')" = 1 ]
	bpftool cgroup detach "$held" sock_ops pinned /sys/fs/bpf/other/bypass/progs/shunt_eager
	shunt --pin-dir /sys/fs/bpf/other unload
	rmdir "$held"
}

# --- said twice --------------------------------------------------------------

@test "cli: load, unload, add and del say when there is nothing to do" {
	silently load --iface v0 --cgroup "$CGROUP=eager"
	says 'already loaded' load --iface v0 --cgroup "$CGROUP=eager"
	says 'already loaded' load --cgroup "$CGROUP=eager" --iface v0 --iface v0

	silently steer add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	says 'already there: tcp dst 10.1.0.0/16 to 127.0.0.1:9001' \
		steer add tcp dst 10.1.0.0/16 to 127.0.0.1:9001
	[ "$(status steer.rules)" = 1 ]
	runs 0 steer add tcp dst 10.1.0.0/16 pass
	one_line "$ERR" 'replaced by: tcp dst 10.1.0.0/16 pass'
	[ "$(status steer.rules)" = 1 ]
	silently steer del tcp dst 10.1.0.0/16
	says 'no such rule: tcp dst 10.1.0.0/16; nothing to delete' steer del tcp dst 10.1.0.0/16
	silently steer flush
	silently steer flush

	silently trace on
	says 'on already' trace on
	[ "$(status trace)" = true ]
	silently trace off
	says 'off already' trace off

	silently unload
	says 'nothing is loaded' unload
}

# --- what each half loads ----------------------------------------------------

@test "cli: load --iface alone attaches steering only" {
	shunt load --iface v0
	shunt -j status | jq -e '.loaded and .bypass.cgroups == [] and
		.steer.ifaces[0].name == "v0" and .steer.ifaces[0].attached'
	[ -e "$PIN_DIR"/steering/progs/shunt_steer ]
	# what few need is loaded when they do
	[ ! -e "$PIN_DIR"/steering/progs/shunt_test ]
	shunt steer test tcp src 10.0.0.1 dst 10.0.0.2:80
	[ -e "$PIN_DIR"/steering/progs/shunt_test ]
	[ ! -e "$PIN_DIR"/bypass/progs/shunt_eager ]
	[ ! -e "$PIN_DIR"/bypass/progs/shunt_verdict ]
	nothing_attached
	fails 1 'bypass is not loaded' sockets
}

@test "cli: load --cgroup alone attaches the bypass only" {
	shunt load --cgroup "$CGROUP=eager"
	shunt -j status | jq -e --arg path "$CGROUP" '.loaded and .steer.ifaces == [] and
		.bypass.cgroups == [{ path: $path, admit: "eager", attached: true, removed: false, gone: false }]'
	[ -e "$PIN_DIR"/bypass/progs/shunt_eager ]
	[ ! -e "$PIN_DIR"/steering/progs/shunt_steer ]
	diff <(grep -v ^shunt "$BATS_TEST_TMPDIR/before") <(host_state | grep -v ^shunt)
	fails 1 'steering is not loaded' steer list
	fails 1 'steering is not loaded' steer add tcp dst 10.0.0.0/8 pass
}

@test "cli: load --cgroup takes a path below the mount of cgroup2" {
	shunt load --cgroup "${CGROUP#"$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"/}=eager"
	[ "$(status 'bypass.cgroups[0].path')" = "$CGROUP" ]
}

# --- options, help, output ---------------------------------------------------

@test "cli: global options may stand before or behind the command" {
	local dir=/sys/fs/bpf/elsewhere

	shunt load --pin-dir $dir --iface v0
	[ ! -e "$PIN_DIR" ]
	[ "$(stat -c %a $dir)" = 700 ]
	shunt steer --pin-dir $dir add tcp dst 10.1.0.0/16 pass
	shunt steer list --pin-dir $dir -j | jq -e 'length == 1'
	shunt -j steer --pin-dir $dir list | jq -e 'length == 1'
	shunt steer -j --pin-dir $dir list | jq -e 'length == 1'
	shunt --pin-dir $dir --json | jq -e .loaded
	shunt -j | jq -e '.loaded | not'
	shunt --pin-dir $dir unload
	[ ! -e $dir ]
}

@test "cli: only root can read the pins" {
	load_both
	[ "$(stat -c %a "$PIN_DIR")" = 700 ]
}

@test "cli: -v prints more, on stderr" {
	runs 0 load -v --iface v0
	empty "$OUT"
	grep -q "attached to 'v0'" "$ERR"
}

@test "cli: every command has help" {
	local verb

	for verb in load unload status check steer sockets monitor metrics version trace; do
		runs 0 $verb help
		empty "$ERR"
		grep -q "^usage: shunt $verb" "$OUT"
		mv "$OUT" "$OUT.help"
		runs 0 $verb --help
		diff "$OUT.help" "$OUT"
		runs 0 help $verb
		diff "$OUT.help" "$OUT"
	done
	fails 2 "'nope'" help nope
	for verb in help --help -h 'help help'; do
		# shellcheck disable=SC2086 # words
		runs 0 $verb
		empty "$ERR"
		grep -q '^usage: shunt' "$OUT"
	done
	runs 0 diverter --help
	runs 0 --version
	one_line "$OUT" 'shunt '
}

@test "cli: load: help and load.sh know every option" {
	local option

	runs 0 load help
	for option in $(grep -o '"--[a-z-]*"' "$PROJECT/loader/config/options.c" | tr -d '"' | sort -u); do
		grep -qe "$option" "$OUT"
		grep -qe "$option" "$PROJECT/scripts/load.sh"
	done
	sed -n '1,/^$/p' "$OUT" | grep -qe '--nat NAME.*--monitor NAME'
}

@test "cli: a command without words prints the status" {
	load_both
	diff <(shunt) <(shunt status)
	diff <(shunt -j) <(shunt -j status)
	shunt | grep -q 'iface v0'
	shunt | grep -q "cgroup $CGROUP"
}

@test "cli: status -j has all documented names, loaded or not" {
	local names='[has("version", "kernel", "loaded"),
		(.bypass | has("cgroups", "pairs", "redirected_bytes", "redirected_messages",
			"passed_bytes", "promoted", "demoted", "queued_bytes")),
		(.steer | has("ifaces", "rules", "steered_packets", "steered_flows", "no_listener",
			"fragments")),
		(.nat | has("rules", "flows"))] | all'

	shunt -j status | jq -e "($names) and (.loaded | not)"
	load_both
	shunt -j status | jq -e "($names) and .loaded and .steer.rules == 2"
}

@test "cli: status as JSON and metrics have the old names of numbers, too, for one release" {
	load_both
	shunt -j status | jq -e '(.bypass | has("active", "entries", "max_entries", "reclaimed", "no_entry")) and
		(.steer | has("not_transparent", "reuseport", "steered_errors", "local", "routers_own",
			"loops", "resets", "translated", "own_services", "routed")) and
		(.nat | has("made", "unanswered", "evicted", "straight", "other_ports", "packets",
			"errors", "fragments", "refused", "unroutable"))'
	shunt metrics | grep -x 'shunt_bypass_max_entries 16383'
	shunt metrics | grep -x 'shunt_steer_routers_own_total 0'
}

@test "cli: steer list prints rules that steer add takes" {
	local before rule

	shunt load --iface v0
	shunt steer add tcp dst 0.0.0.0/0 pass
	shunt steer add udp dst 172.16.240.0/24 dport 5060 sport 5060 src 10.0.0.0/8 iface v0 \
		to 127.0.0.1:58997 service sip
	shunt steer add tcp dst fd00::1 dport 1-1024 to '[::1]:9001'
	shunt steer list | sed 's/  packets .*//' >"$BATS_TEST_TMPDIR/rules"
	before=$(shunt -j steer list)
	[ "$(jq length <<<"$before")" = 3 ]
	shunt steer flush
	[ "$(shunt -j steer list)" = '[]' ]
	while read -ra rule; do
		shunt steer add "${rule[@]}"
	done <"$BATS_TEST_TMPDIR/rules"
	diff <(echo "$before") <(shunt -j steer list)
}

@test "cli: check: what it finds, as text and as JSON" {
	shunt check | grep -q '^ok '
	shunt -j check | jq -e 'length > 8 and all(.[]; has("name", "result", "detail"))'
	shunt -j check | jq -e 'any(.[]; .name == "steering" and .result == "ok")'
	shunt -j check | jq -e 'any(.[]; .name == "bypass" and .result == "ok")'
}

@test "cli: check: a foreign sock_ops program" {
	"$PEERS/foreign" sock_ops /sys/fs/bpf/foreign
	shunt check >"$OUT"
	rm /sys/fs/bpf/foreign
	grep "^warn  other users      sock_ops program 'foreign_ops'" "$OUT" |
		grep "sets the callback flags without keeping others'"
}

@test "cli: trace on says when the kernel's tracing is off" {
	local on=/sys/kernel/tracing/tracing_on

	shunt load --iface v0
	echo 0 >"$BATS_TEST_TMPDIR/off"
	mount --bind "$BATS_TEST_TMPDIR/off" $on
	warns "'echo 1 >$on'" trace on
	spawn follow "$SHUNT" trace follow
	wait_for grep -q "'echo 1 >$on'" "$BATS_TEST_TMPDIR/follow.err"
	runs 0 check
	grep -A 1 '^warn  tracing' "$OUT" | grep -q "echo 1 >$on"
	echo 1 >"$BATS_TEST_TMPDIR/off"
	silently trace off
	silently trace on
	shunt check | grep -q '^ok    tracing'
	umount $on
}

# --- scripts -----------------------------------------------------------------

@test "cli: scripts: help and wrong words" {

	program=("$PROJECT/scripts/load.sh")
	runs 0 --help
	grep -q '^usage: load.sh' "$OUT"
	runs 2 frobnicate
	one_line "$ERR" "'frobnicate'"
	runs 2 --iface
	one_line "$ERR" --iface
	runs 2 --cgroup
	one_line "$ERR" --cgroup
	program=("$PROJECT/scripts/deps.sh")
	runs 2 --frobnicate
	one_line "$ERR" "'--frobnicate'"
}

# The scripts keep notes in /run, which is the test's own.
own_run()
{
	mount -t tmpfs none /run
	program=("$PROJECT/scripts/load.sh")
	MADE=$CGROUP_ROOT/made
	NAME=${MADE#"$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"/}
}

@test "cli: load.sh --config: only what the file names is attached, and its cgroups are made" {
	local config=$BATS_TEST_TMPDIR/config

	own_run
	printf 'iface v0 # steering\r\ntcp dst 10.0.0.1 pass\n' >"$config"
	runs 0 --config "$config"
	shunt -j status | jq -e '.bypass.cgroups == [] and .steer.ifaces[0].name == "v0"'
	"$PROJECT/scripts/unload.sh"

	printf '#cgroup nope\ncgroup %s=eager\n' "$NAME" >"$config"
	runs 0 --config "$config" --iface v0
	shunt -j status | jq -e --arg path "$MADE" '.steer.ifaces[0].name == "v0" and
		.bypass.cgroups == [{ path: $path, admit: "eager", attached: true, removed: false, gone: false }]'
	"$PROJECT/scripts/unload.sh"
	[ ! -e "$MADE" ]

	echo 'mark 3' >>"$config"
	runs 2 --config "$config"
	grep -qe "--mark '3'" "$ERR"
	[ ! -e "$MADE" ]
	[ ! -e "$PIN_DIR" ]

	runs 1 --config "$config.none"
	one_line "$ERR" "'$config.none'"
	runs 2 --config -
	one_line "$ERR" 'standard input'
}

@test "cli: load.sh: a cgroup in a cgroup; none is left behind, and none is made elsewhere" {
	own_run
	runs 0 --cgroup "$NAME/in/it"
	[ -d "$MADE/in/it" ]
	"$PROJECT/scripts/unload.sh"
	[ ! -e "$MADE" ]
	[ ! -e /run/shunt ]
	runs 2 --cgroup "$NAME/in=fast"
	[ ! -e "$MADE" ]
	runs 1 --cgroup /nowhere/shunt
	one_line "$ERR" "'/nowhere/shunt': not below"
	[ ! -e "${MADE%"$NAME"}/nowhere" ]
	[ ! -e "$PIN_DIR" ]
}

@test "cli: unload.sh: a cgroup with processes stays, until there are none" {
	own_run
	runs 0 --cgroup "$NAME"
	CGROUP=$MADE spawn idle in_cgroup sleep 1000
	wait_for grep -q . "$MADE/cgroup.procs"
	program=("$PROJECT/scripts/unload.sh")
	runs 0
	one_line "$ERR" "cgroup $MADE still has processes"
	[ ! -e "$PIN_DIR" ]
	end_all
	wait_for empty "$MADE/cgroup.procs"
	runs 0
	[ ! -e "$MADE" ]
	[ ! -e /run/shunt ]
}

@test "cli: scripts: no root" {
	local script code scratch left=''

	scratch=$(mktemp -d -p /tmp)
	chmod 777 "$scratch"
	for script in load unload trace verify; do
		code=0
		TMPDIR=$scratch setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$PROJECT/scripts/$script.sh" >"$OUT" 2>"$ERR" || code=$?
		[ $code != 126 ] || skip "nobody can't run the scripts"
		[ $code = 1 ]
		one_line "$ERR" 'needs root'
		! rmdir "$scratch"/* 2>/dev/null || left+=" $script"
	done
	rmdir "$scratch"
	[ -z "$left" ] || { echo "leave a directory behind:$left"; return 1; }
}

@test "cli: scripts: trace.sh ends at a signal, and switches tracing off" {
	program=("$PROJECT/scripts/trace.sh")
	runs 0 --help
	load_both
	spawn trace "${program[@]}"
	wait_for status_is trace = true
	kill "$(cat "$BATS_TEST_TMPDIR/trace.pid")"
	wait_for ended trace
	[ "$(status trace)" = false ]
}

@test "cli: scripts: a second trace.sh leaves the first one's tracing on" {
	program=("$PROJECT/scripts/trace.sh")
	load_both
	spawn trace "${program[@]}"
	wait_for status_is trace = true
	PATIENCE=5 wait_for only_reader || skip "this kernel lets several read trace_pipe"
	runs 1
	grep -q 'another program reads' "$ERR"
	[ "$(status trace)" = true ]
	kill "$(cat "$BATS_TEST_TMPDIR/trace.pid")"
	wait_for ended trace
}

# only_reader: the kernel refuses another reader of trace_pipe by now
only_reader()
{
	! timeout 1 "$SHUNT" trace follow 2>&1 | grep -q . || return 0
	return 1
}

@test "cli: scripts: files with an interpreter line are executable" {
	local file

	for file in "$PROJECT"/{scripts,bench,tests}/* "$PROJECT"/tests/*/{run,sources}; do
		[ -f "$file" ] || continue
		case $file in *.bats | */common.sh) continue ;; esac
		[ "$(head -c 2 "$file" | tr -d '\0')" != '#!' ] || [ -x "$file" ] || { echo "$file"; return 1; }
	done
}

@test "cli: scripts: deps.sh --check only reports" {
	local code=0

	"$PROJECT/scripts/deps.sh" --check >"$OUT" 2>"$ERR" || code=$?
	empty "$ERR"
	# 0 and silent, or 1 and what is missing
	[ $code = "$(grep -c . "$OUT" | sed 's/[1-9][0-9]*/1/')" ]
	[ $code = 0 ] || ! grep -v '^missing: ' "$OUT"
}
