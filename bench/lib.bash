# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What the parts of the bench share. The contenders are cgroups: plain (nothing is
# loaded for it), proven and eager (shunt), naive (bench/naive.bpf.c). They take
# turns within each row of each round. Whatever is measured becomes a line of
# $raw, with tabs between
#
#   CPUS WORKLOAD FIGURE UNIT CONTENDER ROUND VALUE
#
# publish() makes bench/results/PART.json of them, by stats.jq. Environment:
# BENCH=quick, BUDGET: seconds for this part, RESULTS: another directory.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$project/scripts/common.sh"
need_root
tcp=$project/build/bench/tcp
results=${RESULTS:-$project/bench/results}
# A part has a network namespace of its own, so ports and rules of the host are
# in nobody's way.
[ -n "${TCP_PAGES:-}" ] || # most pages for TCP; told only outside
	TCP_PAGES=$(awk '{ print $3 }' /proc/sys/net/ipv4/tcp_mem) exec unshare --net -- "$0" "$@"
ip link set lo up
place=$(cgroup2)/shunt-bench-$$
pins=/sys/fs/bpf/shunt-bench-$$
scratch=$(mktemp -d)
raw=$scratch/raw
exec {quiet}<> <(:) # a read from it with a time-out is a pause
rounds=5 round=0 limit=20
quick='' reader=cat
[ "${BENCH:-}" != quick ] || { quick=1; rounds=3; }
budget=${BUDGET:-600}
children=() naive=() supervisor=''

shunt() {
	"$shunt" --pin-dir "$pins" "$@"
}

say() {
	printf '  %4ds %s\n' $SECONDS "$*" >&2
}

# start COMMAND...: in the background, until the end of the part
start() {
	"$@" &
	children+=($!)
}

gone() { # PID
	! kill -0 "$1" 2>/dev/null
}

stop_children() {
	local pid

	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${children[@]}"; do
		wait_for 10 gone "$pid" || kill -9 "$pid" 2>/dev/null || true
	done
	children=()
}

# What a part has besides is taken down by its own clean_up().
clean_up() {
	:
}

leave() {
	clean_up
	stop_children
	unload
	[ ! -d "$place" ] || find "$place" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	rm -rf "${scratch:?}"
}
trap leave EXIT
trap 'exit 1' INT TERM

# bytes NUMBER: as in '64 KiB'
bytes() {
	numfmt --to=iec-i "$1" | sed -E 's/^([0-9.]+)(.*)/\1 \2B/; s/\.0 / /'
}

# --- contenders ------------------------------------------------------------------

load() {
	mkdir -p "$place/proven" "$place/eager"
	shunt load --cgroup "$place/proven" --cgroup "$place/eager=eager" 2>"$scratch/load" || {
		cat "$scratch/load" >&2
		die "can't load"
	}
	shunt run 2>"$scratch/run" &
	supervisor=$!
}

unload() {
	[ ${#naive[@]} = 0 ] || kill "${naive[@]}" 2>/dev/null || true
	[ ! -d "$pins" ] || shunt unload 2>/dev/null || true
	# shellcheck disable=SC2086 # none or one
	wait $supervisor "${naive[@]}" 2>/dev/null || true
	supervisor='' naive=()
}

# attach_naive CGROUP [PROGRAM]: until unload(); the program's id is in $id
attach_naive() {
	mkdir -p "$place/$1"
	"$project/build/bench/naive" "$project/build/bench/naive.bpf.o" "$place/$1" "${@:2}" \
		>"$scratch/id" &
	naive+=($!)
	wait_for 10 test -s "$scratch/id" || die "can't attach the naive program"
	id=$(cat "$scratch/id")
	rm "$scratch/id"
}

load_all() {
	load
	attach_naive naive
}

# as CONTENDER COMMAND...: in its cgroup, if it has one; to be run in a subshell
as() {
	[ ! -d "$place/$1" ] || echo "$BASHPID" >"$place/$1/cgroup.procs"
	exec "${@:2}"
}

# --- another host ----------------------------------------------------------------

# make_peer NEAR FAR: a namespace at the far end of a veth pair, which $peer is the
# path of. It ends with the part.
make_peer() {
	start unshare --net -- sleep infinity
	peer=/proc/${children[-1]}/ns/net
	wait_for 5 is_apart "$peer" || die "no namespace"
	ip link add "$1" type veth peer name "$2" netns "${children[-1]}"
	ip link set "$1" up
	at_peer ip link set lo up
	at_peer ip link set "$2" up
}

is_apart() { # NAMESPACE
	[ "$(readlink "$1")" != "$(readlink /proc/self/ns/net)" ]
}

at_peer() { # COMMAND...
	nsenter --net="$peer" -- "$@"
}

# --- samples ---------------------------------------------------------------------

# sample CPUS WORKLOAD CONTENDER COMMAND...: what $reader makes of what it prints,
# lines 'FIGURE UNIT VALUE', is added to $raw; a command that fails or hangs gives
# none.
sample() {
	local figure unit value

	( as "$3" timeout -k 2 "$limit" "${@:4}" ) >"$scratch/out" 2>"$scratch/err" || {
		say "$3 failed at $2: $(tail -n 1 "$scratch/err")"
		return 0
	}
	while read -r figure unit value; do
		printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$figure" "$unit" "$3" "$round" "$value"
	done < <($reader <"$scratch/out") >>"$raw"
}

# each_round COMMAND: $rounds times, or fewer when the time of this part is over
each_round() {
	local began longest=0 took

	for ((round = 0; round < rounds; round++)); do
		began=$SECONDS
		"$@"
		took=$((SECONDS - began))
		[ $took -le $longest ] || longest=$took
		say "round $((round + 1)) of $rounds"
		[ $((SECONDS + longest)) -le "$budget" ] || break
	done
}

# publish PART BASELINE
publish() {
	mkdir -p "$results"
	jq -Rnc --arg part "$1" --arg baseline "$2" --arg kernel "$(uname -r)" \
		--arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		--argjson cpus "$(nproc)" --argjson load "$(cut -d' ' -f1 /proc/loadavg)" \
		--argjson seconds $SECONDS --arg mode "${BENCH:-full}" \
		-L "$project/bench" -f "$project/bench/summary.jq" "$raw" >"$scratch/json"
	mv "$scratch/json" "$results/$1.json"
}
