#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The package of ziti-router runs it as a user of its own, with CAP_NET_ADMIN at most
# (dist/dist-packages/linux/openziti-router in openziti/ziti). The diverter has the same
# rights, and changes rules through the socket of 'shunt run'.

# shellcheck disable=SC2016 # words for an inner shell
bats_require_minimum_version 1.5.0
load ../lib/common

ROUTER=64321 # user and group of the router
MEMBERS=64399 # the group that may change rules
SOCKET=/run/shunt/sys-fs-bpf-shunt
DISABLED=/proc/sys/kernel/unprivileged_bpf_disabled

# Programs are where any user finds them. /run is this file's own.
setup()
{
	need setpriv socat
	mount -t tmpfs -o mode=0755 tmpfs /run
	mkdir /run/bin
	install -m 0755 "$SHUNT" /run/bin/shunt
	ln -s shunt /run/bin/shunt-diverter
	install -m 0755 "$PEERS/tproxy" "$PEERS/ziti" /run/bin
	was_disabled=$(cat $DISABLED)
	[ "$was_disabled" != 0 ] || echo 2 >$DISABLED
	shunt load --iface lo
}

teardown()
{
	end_all
	[ "$was_disabled" != 0 ] || echo 0 >$DISABLED
	ip addr del 10.1.2.3/32 dev lo 2>/dev/null || true
	umount /etc/group 2>/dev/null || true
	umount /run
	clean_up
}

# with GROUP COMMAND...: runs the command as the unit does, with a supplementary group
with()
{
	${is_spawned:+exec} setpriv --reuid $ROUTER --regid $ROUTER --groups "$1" --no-new-privs \
		--inh-caps -all,+net_admin --ambient-caps -all,+net_admin \
		--bounding-set -all,+net_admin "${@:2}" 3>&-
}

diverter()
{
	with $MEMBERS /run/bin/shunt-diverter "$@"
}

stranger()
{
	with $ROUTER /run/bin/shunt-diverter "$@"
}

# insert PORT SERVICE, delete: as ziti-router does
insert()
{
	diverter -I -c 10.1.2.3 -m 32 -p tcp -o 0.0.0.0 -n 0 -l 80 -h 80 -t "$1" -s "$2"
}

delete()
{
	diverter -D -c 10.1.2.3 -m 32 -p tcp -o 0.0.0.0 -n 0 -l 80 -h 80
}

rules()
{
	shunt save rules | grep -v '^#'
}

# run_with_socket [OPTION]...: starts 'shunt run', and waits for its socket
run_with_socket()
{
	spawn supervisor "$SHUNT" run "$@"
	wait_for test -S $SOCKET
}

greeting()
{
	local line

	exec {fd}<>/dev/tcp/10.1.2.3/80 || return
	read -rt 20 line <&"$fd" || return
	exec {fd}>&-
	echo "$line"
}

@test "diverter: an unprivileged router with CAP_NET_ADMIN: -V, -I, a connection, -L, -D" {
	run_with_socket --group $MEMBERS
	[ "$(with $MEMBERS sed -n 's/^CapEff:\t//p' /proc/self/status)" = 0000000000001000 ]
	[ "$(diverter -V)" = "$(shunt --version | cut -d' ' -f2)" ]
	# a call of the router itself
	with $MEMBERS ip addr add 10.1.2.3/32 dev lo
	spawn listener with $MEMBERS /run/bin/tproxy --name service tcp 127.0.0.1 33001
	wait_for listens 33001
	run ! greeting
	insert 33001 6Xn.-pZ8
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33001 service 6Xn.-pZ8" ]
	[[ "$(greeting)" == "local=10.1.2.3:80 "*" via=service" ]]
	[[ "$(diverter -L)" == "tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33001 service 6Xn.-pZ8 "*"flows 1 "* ]]
	delete
	[ -z "$(rules)" ]
	delete 2>&1 | grep 'nothing to delete'
}

@test "diverter: unprivileged: the group reaches the socket of a supervisor with umask 077" {
	umask 077
	run_with_socket --group $MEMBERS
	diverter -V
	[ "$(stat -c %a /run/shunt)" = 755 ]
}

@test "diverter: unprivileged: rules for an interface, a port range, IPv6, UDP, and the other commands" {
	run_with_socket --group $MEMBERS
	diverter -I -c fd00::1 -m 128 -p udp -o 0.0.0.0 -n 0 -l 1 -h 100 -t 33001 -s a -N lo
	[ "$(rules)" = "udp dst fd00::1 dport 1-100 iface lo to [::1]:33001 service a" ]
	with $MEMBERS /run/bin/shunt steer del udp dst fd00::1 dport 1-100 iface lo
	with $MEMBERS /run/bin/shunt steer add tcp dst 10.1.2.3 dport 80 origin local to 127.0.0.1:33001
	[ "$(with $MEMBERS /run/bin/shunt -j steer list | jq -r '.[].origin')" = local ]
	with $MEMBERS /run/bin/shunt steer flush
	[ -z "$(rules)" ]
}

@test "diverter: unprivileged: more rules than the store has room for" {
	local i

	run_with_socket --group $MEMBERS
	awk 'BEGIN { for (i = 0; i < 4000; i++)
		printf "tcp dst 10.0.%d.%d to 127.0.0.1:9999\n", i / 250, i % 250 }' >"$BATS_TEST_TMPDIR/rules"
	shunt apply "$BATS_TEST_TMPDIR/rules"
	for ((i = 1; i <= 100; i++)); do
		diverter -I -c 10.1.$i.0 -m 24 -p tcp -o 10.$i.0.0 -n 16 -l $i -h $((i + 1)) -t 9999 -s s$i
	done
	[ "$(status steer.rules)" = 4100 ]
	[ "$(diverter -L | wc -l)" = 4100 ]
}

@test "diverter: unprivileged: the group 'shunt', if the host has it" {
	cp /etc/group "$BATS_TEST_TMPDIR/group"
	sed -i '/^shunt:/d' "$BATS_TEST_TMPDIR/group"
	echo "shunt:x:$MEMBERS:" >>"$BATS_TEST_TMPDIR/group"
	chmod 644 "$BATS_TEST_TMPDIR/group"
	mount --bind "$BATS_TEST_TMPDIR/group" /etc/group
	run_with_socket
	[ "$(stat -c '%a %u %g' $SOCKET)" = "660 0 $MEMBERS" ]
	insert 33001 a
	tell supervisor
	kill "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	reap supervisor
	[ ! -e /run/shunt ]
	spawn nobody "$SHUNT" run --group root
	wait_for status_is bypass.supervised = true
	[ ! -e /run/shunt ]
}

@test "diverter: unprivileged: -V of a user outside of the group fails with the reason, nothing changes" {
	run_with_socket --group $MEMBERS
	run ! stranger -V
	[[ $output == *"$SOCKET"*"this process is neither"* ]]
	[ ${#lines[@]} = 1 ]
	run ! stranger -I -c 10.1.2.3 -m 32 -p tcp -o 0.0.0.0 -n 0 -l 80 -h 80 -t 33001 -s a
	run ! stranger -L
	[ -z "$(rules)" ]
	# members can change rules, and nothing else
	run ! with $MEMBERS /run/bin/shunt unload
	run ! with $MEMBERS /run/bin/shunt nat add tcp dst 10.0.0.1 dport 1 to 10.0.0.2:1
	run ! with $MEMBERS cat $SOCKET
}

@test "diverter: -V fails with the reason: no supervisor, nothing loaded, no steering" {
	run ! diverter -V
	[[ $output == *"this needs root, or 'shunt run' with a group"*"$SOCKET"* ]]
	unload
	run ! diverter -V
	[[ $output == *"nobody answers"* ]]
	run -1 shunt diverter -V
	[[ $output == *"not loaded"* ]]
	shunt load --monitor lo
	run -1 shunt diverter -V
	[[ $output == *"steering is not loaded"* ]]
	run_with_socket --group $MEMBERS
	run -1 diverter -V
	[[ $output == *"steering is not loaded"* ]]
}

@test "diverter: -V from another network namespace than that of load fails" {
	netns other
	run -1 "${other[@]:?}" "$SHUNT" diverter -V
	[[ $output == *"another network namespace"* ]]
	run_with_socket --group $MEMBERS
	run -1 "${other[@]}" setpriv --reuid $ROUTER --clear-groups --regid $MEMBERS /run/bin/shunt-diverter -V
	[[ $output == *"another network namespace"* ]]
}

@test "diverter: -V tells that lo is not among the interfaces" {
	unload
	ip link add w0 type veth peer name w1
	shunt load --iface w0
	shunt diverter -V 2>&1 | grep -- '--iface lo'
	ip link del w0
}

@test "diverter: unprivileged: calls wait while the supervisor is killed and started again" {
	run_with_socket --group $MEMBERS
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	reap supervisor || true
	rm "$BATS_TEST_TMPDIR"/supervisor.*
	spawn call diverter -I -c 10.1.2.3 -m 32 -p tcp -o 0.0.0.0 -n 0 -l 80 -h 80 -t 33001 -s a
	[ -z "$(rules)" ]
	run_with_socket --group $MEMBERS
	reap call
	[ -n "$(rules)" ]
	# no process of the first one is left
	[ "$(grep -l '^shunt-rules$' /proc/[0-9]*/comm 2>/dev/null | wc -l)" -ge 1 ]
	unload
	reap supervisor
	[ ! -e /run/shunt ]
}

@test "diverter: an unprivileged router that is killed: its rules go when it starts again" {
	run_with_socket --group $MEMBERS
	spawn router with $MEMBERS /run/bin/ziti /run/bin/shunt-diverter
	said router ready
	tell router add web tcp 10.1.2.3/32 80 80
	said router 'done add'
	diverter -I -c 10.1.2.3 -m 32 -p tcp -l 90 -h 90 -t 33090 -s hand
	[ "$(rules | wc -l)" = 2 ]
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/router.pid")"
	reap router || true
	spawn again with $MEMBERS /run/bin/ziti /run/bin/shunt-diverter
	said again ready
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 90 to 127.0.0.1:33090 service hand" ]
}

@test "diverter: an unprivileged router that runs while shunt is restarted: its rules stay, and its calls wait" {
	run_with_socket --group $MEMBERS
	with $MEMBERS ip addr add 10.1.2.3/32 dev lo
	spawn router with $MEMBERS /run/bin/ziti /run/bin/shunt-diverter
	said router ready
	tell router add web tcp 10.1.2.3/32 80 80
	said router 'done add web'
	shunt unload
	reap supervisor
	rm "$BATS_TEST_TMPDIR"/supervisor.*
	# the group can't read the rules
	run ! with $MEMBERS cat $SOCKET.rules
	tell router add more tcp 10.1.2.3/32 81 81
	shunt load --iface lo
	run_with_socket --group $MEMBERS
	said router 'done add more'
	[[ "$(greeting)" == *" via=web" ]]
	[ "$(rules | sed 's/.*service //' | paste -sd,)" = web,more ]
	tell router del web
	said router 'done del web'
	[ "$(rules | sed 's/.*service //')" = more ]
}

rule_servers()
{
	local pid

	while read -r pid; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != shunt-rules ] || echo "$pid"
	done <"$CGROUP_ROOT/cgroup.procs"
}

@test "diverter: unprivileged: the process that serves calls is started again when it ends" {
	local pid

	run_with_socket --group $MEMBERS
	pid=$(rule_servers)
	kill -KILL "$pid"
	served_again()
	{
		[ -n "$(rule_servers)" ] && [ "$(rule_servers)" != "$pid" ]
	}
	wait_for served_again
	insert 33001 a
	[ "$(shunt -j status | jq .bypass.supervised)" = true ]
}

# hostile TEXT...: a member of the group sends this packet to the socket
hostile()
{
	with $MEMBERS socat -u - "UNIX-CONNECT:$SOCKET,type=5" <<<"$*"
}

@test "diverter: unprivileged: garbage, silent callers, and a caller that does not read" {
	local i

	run_with_socket --group $MEMBERS
	for ((i = 0; i < 50; i++)); do
		head -c $((RANDOM % 9000 + 1)) /dev/urandom >"$BATS_TEST_TMPDIR/garbage"
		with $MEMBERS socat -u - "UNIX-CONNECT:$SOCKET,type=5" <"$BATS_TEST_TMPDIR/garbage" || true
	done
	# the head of a request, and then words: none, too many, without an end
	printf '\1\0\0\0\0\0\0\0AAAAAAAA' >"$BATS_TEST_TMPDIR/head"
	for words in '' '\0' '/sys/fs/bpf/shunt\0' '/sys/fs/bpf/shunt\0unload\0' '/sys/fs/bpf/shunt\0diverter' \
		'/other\0diverter\0-V\0' '/sys/fs/bpf/shunt\0steer\0test\0-\0' \
		"$(printf 'a\\0%.0s' {1..200})"; do
		{ cat "$BATS_TEST_TMPDIR/head"; printf '%b' "$words"; } >"$BATS_TEST_TMPDIR/request"
		with $MEMBERS socat -t 5 - "UNIX-CONNECT:$SOCKET,type=5" <"$BATS_TEST_TMPDIR/request" |
			tr '\0' '\n' | grep -a shunt:
	done
	[ -z "$(rules)" ]
	for ((i = 0; i < 20; i++)); do
		spawn "silent$i" with $MEMBERS socat -u "UNIX-CONNECT:$SOCKET,type=5" -
	done
	insert 33001 a
	[ -n "$(rules)" ]
	# more bytes than a socket takes, of which the caller reads none
	awk 'BEGIN { for (i = 0; i < 20000; i++)
		printf "tcp dst 10.0.%d.%d to 127.0.0.1:9999\n", i / 250, i % 250 }' >"$BATS_TEST_TMPDIR/rules"
	shunt apply "$BATS_TEST_TMPDIR/rules"
	{ cat "$BATS_TEST_TMPDIR/head"; printf '/sys/fs/bpf/shunt\0diverter\0-L\0'; } >"$BATS_TEST_TMPDIR/request"
	# the input of these stays open, so they stay, too
	for ((i = 0; i < 8; i++)); do
		spawn "deaf$i" with $MEMBERS socat -u - "UNIX-CONNECT:$SOCKET,type=5"
		cat "$BATS_TEST_TMPDIR/request" 1<>"$BATS_TEST_TMPDIR/deaf$i.in"
	done
	SECONDS=0
	shunt steer add tcp dst 10.9.9.9 pass
	[ $SECONDS -lt 4 ]
	is_running supervisor
	# as many calls as there may be at a time wait for a reader, for 5 seconds at most
	insert 33002 b
	[ $SECONDS -lt 40 ]
}
