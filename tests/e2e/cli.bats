#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The command line: wrong words get one line and exit code 2, and change nothing. Global
# options, help, and what the commands print.

load ../lib/cli

# --- wrong words: exit code 2 ------------------------------------------------

wrong_words()
{
	cat <<-END
		unknown command 'frobnicate' | frobnicate
		unknown command '--frob' | --frob
		unknown command 'Load' | Load --iface v0
		--pin-dir: a directory is missing | status --pin-dir
		--pin-dir '/sys/fs/bpf/a.b': the bpf file system allows no dot | --pin-dir /sys/fs/bpf/a.b load --iface v0
		--pin-dir '/sys/fs/bpf/.a/b/': the bpf file system allows no dot | --pin-dir /sys/fs/bpf/.a/b/ unload
		--pin-dir 'a.b' | --pin-dir a.b status
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
		'frobnicate' | metrics --rules frobnicate
		'--reference' | metrics --rules --reference
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
	# shellcheck disable=SC2034 # for runs
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
