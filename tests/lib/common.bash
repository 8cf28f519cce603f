# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Helpers that the tests share. tests/run sets SHUNT, PEERS, PROJECT, TRACE
# and CGROUP_ROOT, and has made the namespaces that the file runs in.

# shellcheck disable=SC2034 # for the tests
PIN_DIR=/sys/fs/bpf/shunt
OTHER_DIR=/sys/fs/bpf/other
CGROUP=$CGROUP_ROOT/eager
BIG=$TMPDIR/big
spawned=()

# --- waiting -----------------------------------------------------------------

# Nobody writes to this pipe: a read with a time-out is a pause without a process.
exec {silence}<> <(:)

pause()
{
	read -rt 0.05 -u "$silence" || true
}

# wait_for COMMAND...: repeats the command until it succeeds. Fails after PATIENCE
# seconds (20).
wait_for()
{
	local end=$((SECONDS + ${PATIENCE:-20}))

	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "in vain: wait_for $*" >&2
			return 1
		fi
		pause
	done
}

# quickly COMMAND...: runs the command without bats' trap. The trap runs before each
# command of a test and takes longer than most of them. Without it 'set -e' does not
# see a failure inside of COMMAND: COMMAND has to return a status.
quickly()
{
	local result=0

	set +T
	"$@" || result=$?
	set -T
	return $result
}

# --- shunt -------------------------------------------------------------------

shunt()
{
	if [ -n "${LOAD_ORDER:-}" ] && [ "${1:-}" = load ] && load_in_order "${@:2}"; then
		return
	fi
	"$SHUNT" "$@" 3>&-
}

# load_in_order WORD...: where a first load names several halves, loads one after the other in the
# order of LOAD_ORDER. Fails, with nothing loaded, where that does not apply.
load_in_order()
{
	local -A words=()
	local half force=''

	[ ! -e "$PIN_DIR" ] || return 1
	while [ $# -gt 0 ]; do
		case $1 in
		--cgroup | --exclude | --max-bytes | --max-messages | --host-bytes) half=bypass ;;
		--iface | --mark | --table | --router-* | --max-rules | --max-flows) half=steering ;;
		--nat*) half=nat ;;
		--monitor) half=monitor ;;
		--force)
			force=--force
			shift
			continue
			;;
		*) return 1 ;;
		esac
		words[$half]+="$1 $2 "
		shift 2
	done
	[ ${#words[@]} -ge 2 ] || return 1
	for half in $LOAD_ORDER; do
		# shellcheck disable=SC2086 # words
		[ -z "${words[$half]:-}" ] || "$SHUNT" load ${words[$half]} $force 3>&- && continue
		[ ! -e "$PIN_DIR" ] || "$SHUNT" unload 3>&-
		return 1
	done
}

# other ...: a second shunt on the same host, with pins of its own
other()
{
	shunt --pin-dir "$OTHER_DIR" "$@"
}

# unload_other: unloads it, if the test has loaded it.
unload_other()
{
	[ ! -e "$OTHER_DIR" ] || other unload
}

# by_name NAME ...: shunt under another name: map_update, map_delete_elem, shunt-diverter
by_name()
{
	"${SHUNT%/*}/$1" "${@:2}" 3>&-
}

# supervise: starts 'shunt run' under the name supervisor, and waits until it works.
supervise()
{
	spawn supervisor "$SHUNT" run
	wait_for supervised
}

supervised()
{
	[ "$(status bypass.supervised)" = true ]
}

# status FIELD, as in: status bypass.redirected_bytes
status()
{
	shunt -j status | jq -r ".$1"
}

# status_is FIELD OPERATOR NUMBER, as in: status_is bypass.pairs -gt 0
status_is()
{
	local value

	value=$(status "$1")
	test "$value" "$2" "$3"
}

# grew FIELD BEFORE LEAST: the field of status is at least LEAST more than BEFORE.
grew()
{
	local now

	now=$(status "$1")
	if [ $((now - $2)) -lt "$3" ]; then
		echo "$1 went from $2 to $now, not by $3" >&2
		return 1
	fi
}

# load_eager [OPTION...]: loads the bypass on the cgroup eager. The default of
# --host-bytes would come from net.ipv4.tcp_mem, which only the first network
# namespace shows, and would count memory of other programs on this host.
load_eager()
{
	local kib

	kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	mkdir -p "$CGROUP"
	# shellcheck disable=SC2086 # options
	shunt load --cgroup "$CGROUP=eager" --host-bytes $((kib * 64)) ${LOAD_OPTIONS:-} "$@"
}

# runtime_offset MEMBER: prints the offset in bytes of a member of the run-time state in
# the map of settings.
runtime_offset()
{
	bpftool -j btf dump map pinned "$(find "$PIN_DIR" -name shunt_conf | head -n 1)" all 3>&- | jq --arg name "$1" \
		'def at(type; name): .types[] | select(.name == type).members[]? |
			select(.name == name).bits_offset / 8;
		at("shunt_conf"; "run") + at("shunt_runtime"; $name)'
}

unload()
{
	shunt unload --timeout 10
}

sockets()
{
	shunt -j sockets
}

no_sockets()
{
	[ "$(sockets | jq length)" = 0 ]
}

map_entries()
{
	bpftool -j map dump pinned "$(find "$PIN_DIR" -path "*/maps/$1" | head -n 1)" 3>&- | jq length
}

# handshakes: prints how many slots for handshakes are in use
handshakes()
{
	bpftool -j map dump pinned "$PIN_DIR/bypass/maps/shunt_handshake" 3>&- |
		jq '[.[].formatted.value | select(.server != 0)] | length'
}

# maps_empty: no map has an entry for a socket
maps_empty()
{
	[ "$(map_entries shunt_socks)" = 0 ] && [ "$(handshakes)" = 0 ] && no_sockets
}

# --- what is left ------------------------------------------------------------

# own_maps: prints the ids of the maps that are pinned in this namespace. Other
# shunts may be loaded on this machine: a program is ours if it uses one of them.
own_maps()
{
	bpftool -jf map show 3>&- | jq -c '[.[] | select(.pinned | length > 0) | .id]'
}

# no_trace_of MAPS: neither these maps nor programs that use one exist.
no_trace_of()
{
	local maps=$1

	bpftool -j prog show 3>&- | jq -e "any(.[].map_ids[]?; IN(${maps}[])) | not" >/dev/null &&
	bpftool -j map show 3>&- | jq -e "any(.[].id; IN(${maps}[])) | not" >/dev/null
}

nothing_pinned()
{
	[ ! -e "$PIN_DIR" ]
}

nothing_attached()
{
	# if nothing is attached, bpftool prints nothing at all instead of []
	[ ! -d "$CGROUP" ] ||
		[ "$(bpftool -j cgroup show "$CGROUP" 3>&- | jq -s 'add // [] | length')" = 0 ]
}

# nothing_left [MAPS]: the host is as it was before load.
nothing_left()
{
	nothing_pinned && nothing_attached && wait_for no_trace_of "${1:-[]}"
}

# For teardown(): ends the processes of the test, removes its namespaces, unloads, and
# fails unless unload leaves nothing.
clean_up()
{
	local maps

	maps=$(own_maps)
	end_all
	unload_other
	remove_netns
	unload && nothing_left "$maps"
}

# net_programs [WORD...]: what 'bpftool net show' lists, in its order, without numbers that the
# kernel counts up
net_programs()
{
	bpftool -j net show "$@" 3>&- |
		jq -c '[.. | objects | select(has("devname")) | [.devname, .kind, .name]]'
}

# --- processes ---------------------------------------------------------------

# in_cgroup COMMAND...: runs the command in the cgroup of load_eager. In a subshell
# of spawn the command replaces the subshell, so that the pid is the command's.
in_cgroup()
{
	# shellcheck disable=SC2016 # for the inner shell
	${is_spawned:+exec} bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$CGROUP" "$@" 3>&-
}

# cgroup NAME DIRECTORY: makes that cgroup; the array NAME runs a command in it.
cgroup()
{
	local -n runner=$1

	mkdir -p "$2"
	runner=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$2")
}

peer()
{
	in_cgroup "$PEERS/$1" "${@:2}"
}

# spawn NAME COMMAND...: starts a command, or a function, in the background. Its
# input is a pipe, to which tell() writes; its output is a file, which said() reads.
spawn()
{
	local name=$1 dir=$BATS_TEST_TMPDIR

	mkfifo "$dir/$name.in"
	: >"$dir/$name.out"
	is_spawned=1 "${@:2}" <>"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" 3>&- &
	echo $! >"$dir/$name.pid"
	spawned+=($!)
}

# tell NAME WORD...: writes a line to the input of that process
tell()
{
	echo "${*:2}" 1<>"$BATS_TEST_TMPDIR/$1.in"
}

output_of()
{
	cat "$BATS_TEST_TMPDIR/$1.out"
}

is_running()
{
	kill -0 "$(cat "$BATS_TEST_TMPDIR/$1.pid")" 2>/dev/null
}

has_said()
{
	grep -q -- "$2" "$BATS_TEST_TMPDIR/$1.out" || ! is_running "$1"
}

# said NAME REGEX: waits until the process has printed a line that matches. If it has
# not, prints its stderr and fails.
said()
{
	wait_for has_said "$1" "$2" && grep -q -- "$2" "$BATS_TEST_TMPDIR/$1.out" && return
	cat "$BATS_TEST_TMPDIR/$1.err" >&2
	return 1
}

ended()
{
	! is_running "$1"
}

# reap NAME: waits until the process ends by itself. Returns its exit status.
reap()
{
	local status=0

	wait_for ended "$1" || return 1
	wait "$(cat "$BATS_TEST_TMPDIR/$1.pid")" || status=$?
	[ $status = 0 ] || cat "$BATS_TEST_TMPDIR/$1.err" >&2
	return $status
}

end_all()
{
	local pid

	for pid in "${spawned[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
	spawned=()
}

# need COMMAND...: skips the test if one of the commands is missing.
need()
{
	local command

	for command; do
		command -v "$command" >/dev/null || skip "no $command on this machine"
	done
}

# --- network -----------------------------------------------------------------

# netns NAME: makes a network namespace. The array NAME runs a command in it, and
# the variable NAME_file is the file that names it to ip.
netns()
{
	local file=$BATS_TEST_TMPDIR/netns-$1

	: >"$file"
	unshare --net="$file" true
	declare -ga "$1=(nsenter --net=$file --)"
	declare -g "${1}_file=$file"
	nsenter --net="$file" ip link set lo up
}

remove_netns()
{
	local file

	for file in "$BATS_TEST_TMPDIR"/netns-*; do
		[ ! -e "$file" ] || umount "$file"
	done
}

# netns_pair: makes two namespaces, left and right, joined by a veth pair.
netns_pair()
{
	netns left
	netns right
	"${left[@]:?}" ip link add veth0 type veth peer name veth0 netns "${right_file:?}"
	"${left[@]}" ip addr add 10.77.0.1/24 dev veth0
	"${left[@]}" ip addr add fd77::1/64 dev veth0 nodad
	"${right[@]:?}" ip addr add 10.77.0.2/24 dev veth0
	"${right[@]}" ip addr add fd77::2/64 dev veth0 nodad
	"${left[@]}" ip link set veth0 up
	"${right[@]}" ip link set veth0 up
}

# listens PORT [PREFIX...]: a TCP socket listens at the port, where PREFIX runs commands
listens()
{
	[ -n "$("${@:2}" ss -Hltn "sport = :$1")" ]
}

# --- data --------------------------------------------------------------------

# big MIB: prints the name of a file of MIB MiB of random bytes
big()
{
	[ "$(stat -c %s "$BIG" 2>/dev/null)" = $(($1 << 20)) ] ||
		head -c "$1M" /dev/urandom >"$BIG"
	echo "$BIG"
}

same_bytes()
{
	cmp "$1" "$2"
}

# traced REGEX: a line that the BPF programs have traced matches. All shunts of this
# machine write to the same trace: REGEX should have the ports of the test.
traced()
{
	[ -e "$TRACE/trace" ] || skip "no trace instance on this kernel"
	grep -Eq "$1" "$TRACE/trace"
}
