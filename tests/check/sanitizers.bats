#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# shunt built with -fsanitize=address,undefined: it stops at undefined behaviour
# of C, at accesses outside of objects, and at memory that nobody frees.

load ../lib/common
bats_require_minimum_version 1.5.0

setup()
{
	SHUNT=$PROJECT/build/sanitized/shunt
	[ -x "$SHUNT" ] || skip "'make sanitized' has not been run"
	ip link add h0 type veth peer name h1
	ip link set h0 up
	mkdir "$CGROUP_ROOT/one"
}

teardown()
{
	end_all
	"$SHUNT" unload >/dev/null 2>&1 || true
	ip link del h0 2>/dev/null || true
	rmdir "$CGROUP_ROOT/one" 2>/dev/null || true
}

# clean STATUS WORD...: shunt ends with this status, and no sanitizer complains
clean()
{
	run "$SHUNT" "${@:2}"
	if [ "$status" != "$1" ] || [[ $output =~ 'runtime error'|Sanitizer ]]; then
		echo "shunt ${*:2}: status $status: $output"
		return 1
	fi
}

load_all()
{
	clean 0 load --cgroup "$CGROUP_ROOT/one" --iface h0 --nat h0 --monitor h0
}

# show: what only reads
show()
{
	local words

	for words in status '-j status' 'steer list' '-j steer list' 'nat list' '-j nat list' \
		sockets '-j sockets' save metrics; do
		# shellcheck disable=SC2086 # words
		clean 0 $words
	done
}

@test "sanitizers: no undefined behaviour when the first rule is added and the last one deleted" {
	load_all
	show
	clean 0 nat add tcp dst 10.0.0.10 dport 80 to 192.0.2.1:8080
	clean 0 steer add tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
	show
	clean 0 steer test tcp src 10.9.9.9 sport 1000 dst 10.1.0.1 dport 80 iface h0
	clean 0 nat del tcp dst 10.0.0.10 dport 80
	clean 0 steer del tcp dst 10.1.0.0/16 dport 80
	show
	clean 0 nat flush
	clean 0 steer flush
	clean 0 unload
}

@test "sanitizers: no undefined behaviour with 300 rules: ranges, exceptions, both families" {
	local i rules=$BATS_TEST_TMPDIR/rules

	for ((i = 0; i < 100; i++)); do
		echo "tcp dst 10.$i.0.0/16 dport $((i + 1))-$((i * 300 + 2)) to 127.0.0.1:9999"
		echo "udp dst fd00:$i::/64 dport 53 to [::1]:9999"
		echo "tcp dst 10.$i.0.0/16 dport $((i + 1)) src 10.0.0.0/8 pass"
	done >"$rules"
	load_all
	clean 0 apply "$rules"
	show
	head -n 150 "$rules" >"$rules.half"
	clean 0 apply "$rules.half"
	: >"$rules.none"
	clean 0 apply "$rules.none"
	show
	clean 0 unload

	echo 'iface h0' >>"$rules.half"
	clean 0 load --config "$rules.half"
	clean 0 unload
}

@test "sanitizers: no undefined behaviour in the supervisor" {
	load_all
	supervise
	show
	clean 0 unload
	reap supervisor
	run -1 grep -E 'runtime error|Sanitizer' "$BATS_TEST_TMPDIR"/supervisor.{err,out}
}

@test "sanitizers: no undefined behaviour with nothing loaded, and with wrong words" {
	clean 0 status
	clean 0 check
	clean 1 steer list
	clean 1 nat list
	clean 2 steer add tcp dst 10.0.0.0/33 to 127.0.0.1:1
	clean 2 nonsense
}
