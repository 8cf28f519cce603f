#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Files that have the whole configuration: save and apply.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams
load ../lib/all_halves
load ../lib/kills

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
	FILE=$BATS_TEST_TMPDIR/shunt.conf
}

# options: what save prints but comments and rules
options()
{
	shunt save | grep -Ev '^(#|tcp|udp|nat (tcp|udp))'
}

# --- save --------------------------------------------------------------------------------------

@test "save: prints the options that differ from the defaults, then the rules" {
	local more=$CGROUP_ROOT/'with blank'

	mkdir -p "$more"
	cat >"$FILE" <<-END
		cgroup $CGROUP=eager
		cgroup ${more/ /\\040}
		exclude port:22
		exclude 10.0.0.0/8
		iface r0
		iface late*
		monitor r0
		max-bytes 65536
		mark 0x4000000
		router-cgroup $CGROUP
		max-rules 10
		nat r1
		nat-idle tcp=60
		tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
		nat tcp dst 10.2.0.1 dport 80 to 10.3.0.1:80
	END
	shunt load --force --config "$FILE"
	diff "$FILE" <(shunt save | grep -v '^#')
	rmdir "$more"
}

@test "save: what a pattern or a rule brought is not printed" {
	shunt load --iface 'r*'
	shunt nat add tcp dst 10.2.0.1 dport 80 to 10.3.0.1
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80 origin local
	[ "$(status 'steer.ifaces | length')" = 2 ]
	[ "$(options)" = "iface r*" ]
}

@test "save: an interface whose name begins with #, in options and in rules" {
	ip link add '#x' type veth peer name xx
	shunt load --iface '#x'
	shunt steer add tcp dst 10.1.0.0/16 iface '#x' to 127.0.0.1:80
	shunt save >"$FILE"
	shunt apply "$FILE"
	diff "$FILE" <(shunt save)
	shunt unload
	shunt load --config "$FILE"
	[ "$(shunt -j steer list | jq -r '.[].iface')" = '#x' ]
	ip link del xx
}

@test "save: works with each half alone, and says when nothing is loaded" {
	local words

	run -1 shunt save
	[[ $output == *"not loaded"* ]]
	for words in "--cgroup $CGROUP=eager --force" '--iface r0' '--nat r1' '--monitor r0'; do
		# shellcheck disable=SC2086 # words
		shunt load $words
		shunt save >"$FILE"
		shunt unload
		shunt load --force --config "$FILE"
		diff "$FILE" <(shunt save)
		shunt unload
	done
}

# --- the whole configuration ---------------------------------------------------------------------

# applies: applies standard input
applies()
{
	shunt apply --force -
}

# kinds: the attachments, each with its kind
attached()
{
	shunt save | grep -E '^(cgroup|iface|nat [^tu]|monitor)' | sort
}

@test "apply: a file with attachments loads all of it where nothing is loaded" {
	cat >"$FILE" <<-END
		cgroup $CGROUP=eager
		exclude port:22
		iface r0
		monitor r0
		max-bytes 65536
		mark 0x4000000
		nat r1
		tcp dst 10.1.0.0/16 dport 80 to 127.0.0.1:9999
		nat tcp dst 10.2.0.1 dport 80 to 10.3.0.1:80
	END
	applies <"$FILE"
	[ "$(halves)" = "loaded loaded loaded loaded" ]
	diff "$FILE" <(shunt save | grep -v '^#')
}

@test "apply: what save prints changes nothing" {
	shunt load --force --iface r0 --iface 'late*' --cgroup "$CGROUP=eager" --exclude port:22 --nat r1 --monitor r0 \
		--max-bytes 65536 --mark 0x4000000
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	shunt nat add tcp dst 10.2.0.1 dport 80 to 10.3.0.1
	shunt save >"$FILE"
	shunt -j apply "$FILE" >"$BATS_TEST_TMPDIR/result"
	jq -e '[.added, .changed, .deleted, .nat.added, .nat.deleted] == [0, 0, 0, 0, 0]' "$BATS_TEST_TMPDIR/result"
	jq -e '[.load, .unload, .attach, .detach, .settings] | add == []' "$BATS_TEST_TMPDIR/result"
	diff "$FILE" <(shunt save)
}

@test "apply: what the file lacks goes, what it adds comes, the rest stays" {
	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --monitor r0 --exclude port:22 --exclude port:23 \
		--max-bytes 65536
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	mkdir -p "$CGROUP_ROOT/more"
	applies <<-END
		iface r1
		cgroup $CGROUP=eager
		cgroup $CGROUP_ROOT/more=eager
		exclude port:23
		exclude port:24
		max-messages 7
		tcp dst 10.2.0.0/16 pass
	END
	[ "$(halves)" = "loaded loaded loaded absent" ]
	diff - <(shunt save | grep -v '^#') <<-END
		cgroup $CGROUP=eager
		cgroup $CGROUP_ROOT/more=eager
		exclude port:24
		exclude port:23
		iface r1
		max-messages 7
		tcp dst 10.2.0.0/16 pass
	END
	[ "$(status bypass.max_bytes)" = 8388608 ]
	shunt status | grep excluded | grep -q 'port:22' && return 1
	rmdir "$CGROUP_ROOT/more"
}

@test "apply: halves that the file does not name are unloaded" {
	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --monitor r0 --nat r1
	shunt nat add tcp dst 10.2.0.1 dport 80 to 10.3.0.1
	applies <<<"monitor r1"
	[ "$(halves)" = "absent absent absent loaded" ]
	[ "$(attached)" = "monitor r1" ]
	ip rule | grep -q 'lookup 20560' && return 1
	applies <<<"iface r0"
	[ "$(halves)" = "absent loaded loaded absent" ]
	applies <<<"nat r1"
	[ "$(halves)" = "absent absent loaded absent" ]
}

@test "apply: a pattern and the interfaces that it brings" {
	shunt load --iface 'r*'
	[ "$(status 'steer.ifaces | length')" = 2 ]
	applies <<<"iface r0"
	[ "$(attached)" = "iface r0" ]
	[ "$(status 'steer.ifaces | length')" = 1 ]
	# r0 belongs to the pattern from now on
	applies <<<"iface r*"
	[ "$(attached)" = "iface r*" ]
	[ "$(status 'steer.ifaces | length')" = 2 ]
	applies <<<"iface *1"
	[ "$(shunt -j status | jq -c '[.steer.ifaces[].name]')" = '["r1"]' ]
}

@test "apply: NAT that was named stays as long as rules need it" {
	shunt load --nat r1 --iface r0
	shunt nat add tcp dst 10.2.0.1 dport 80 to 10.3.0.1
	applies <<-END
		iface r0
		nat tcp dst 10.2.0.1 dport 80 to 10.3.0.1
	END
	[ "$(attached)" = "iface r0" ]
	shunt -j status | jq -e '.nat.ifaces | length > 0'
	applies <<<"iface r0"
	shunt -j status | jq -e '.nat.ifaces | length == 0'
}

@test "apply: an interface and a cgroup that are gone keep their entries" {
	mkdir -p "$CGROUP_ROOT/more"
	ip link add late0 type veth peer name later
	shunt load --force --iface late0 --nat late0 --monitor late0 --iface r0 --cgroup "$CGROUP_ROOT/more=eager"
	shunt save >"$FILE"
	ip link del late0
	rmdir "$CGROUP_ROOT/more"
	shunt apply "$FILE"
	diff "$FILE" <(shunt save)
	shunt unload --iface late0
	run -1 shunt apply "$FILE"
	[[ $output == *"no interface 'late0'"* ]]
}

@test "apply: rules alone change rules alone; with settings also these" {
	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --max-bytes 65536 --exclude port:22
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	applies <<<"tcp dst 10.2.0.0/16 pass"
	[ "$(options)" = "$(printf '%s\n' "cgroup $CGROUP=eager" 'exclude port:22' 'iface r0' 'max-bytes 65536')" ]
	printf 'max-rules 10\ntcp dst 10.3.0.0/16 pass\n' | applies
	[ "$(options)" = "$(printf '%s\n' "cgroup $CGROUP=eager" 'exclude port:22' 'iface r0' 'max-bytes 65536' \
		'max-rules 10')" ]
	[ "$(shunt save rules | grep -v '^#')" = "tcp dst 10.3.0.0/16 pass" ]
	run -2 applies <<<"max-bytes 1"
	[[ $output == *"settings, but neither a rule nor an attachment"* ]]
	[ "$(status steer.rules)" = 1 ]
	[ "$(status bypass.max_bytes)" = 65536 ]
}

# refused CODE MESSAGE: apply of the file says so and changes nothing
refused()
{
	local before

	before=$(shunt save)
	run "-$1" shunt apply "$FILE"
	echo "$output"
	[[ $output == *"$2"* ]]
	diff <(echo "$before") <(shunt save)
}

@test "apply: what can't change while it is loaded is refused with its line, before anything changes" {
	local line

	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --mark 0x2000000 --nat r1
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	for line in 'mark 0x4000000' 'table 7' 'max-flows 8' 'nat-flows 8' "cgroup $CGROUP=proven"; do
		printf 'iface r1\nmonitor r0\nmark 0x2000000\ncgroup %s=eager\n%s\n' "$CGROUP" "$line" >"$FILE"
		[[ $line == cgroup* ]] && sed -i 4d "$FILE"
		refused 1 "$FILE:$(wc -l <"$FILE"): --${line%% *}"
	done
	printf 'iface r0\ncgroup %s=eager\n' "$CGROUP" >"$FILE"
	refused 1 "lacks the line 'mark 0x2000000'"
}

@test "apply: after an error nothing has changed" {
	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --max-bytes 65536 --exclude port:22
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	printf 'iface r1\nmonitor r0\niface no_such\n' >"$FILE"
	refused 1 "$FILE:3: no interface 'no_such'"
	# more rules than there is room for: found when all else is done
	printf 'iface r*\nmonitor r0\nnat r1\nmax-rules 1\ncgroup %s=eager\nexclude port:23\n' "$CGROUP" >"$FILE"
	printf 'tcp dst 10.1.%d.1 pass\n' 1 2 >>"$FILE"
	refused 1 "no room for more than 1 rules"
	[ "$(halves)" = "loaded loaded loaded absent" ]
	[ "$(status bypass.max_bytes)" = 65536 ]
	# a sock_ops program that tolerates no other holds the cgroup
	mkdir -p "$CGROUP_ROOT/held"
	other load --cgroup "$CGROUP=eager" --force
	bpftool cgroup attach "$CGROUP_ROOT/held" sock_ops \
		pinned "$OTHER_DIR/bypass/progs/shunt_eager" 3>&-
	printf 'iface r1\nmonitor r0\ncgroup %s=eager\n' "$CGROUP_ROOT/held" >"$FILE"
	sed -i '1i max-bytes 1024' "$FILE"
	run -1 shunt apply --force "$FILE"
	bpftool cgroup detach "$CGROUP_ROOT/held" sock_ops \
		pinned "$OTHER_DIR/bypass/progs/shunt_eager" 3>&-
	unload_other
	[ "$(options)" = "$(printf '%s\n' "cgroup $CGROUP=eager" 'exclude port:22' 'iface r0' 'max-bytes 65536')" ]
}

# --- under traffic --------------------------------------------------------------------------------

# counts: packets of the steering rules and flows of the NAT rules
counts()
{
	shunt -j steer list | jq '[.[].packets] | add'
	shunt -j nat list | jq '[.[].flows] | add'
}

@test "apply: steered, translated and bypassed connections go on while other things come and go" {
	local before

	start_traffic
	before=$(counts | head -n 1)
	mkdir -p "$CGROUP/more"
	shunt save >"$FILE"
	{
		printf '%s\n' 'iface r1' 'monitor r0' "cgroup $CGROUP/more" 'nat r0' 'exclude port:1' \
			'max-messages 9' 'max-rules 9' 'nat-idle udp=7' 'tcp dst 10.9.0.0/16 pass' \
			'nat tcp dst 172.16.240.8 dport 7002 to 10.3.0.1'
		cat "$FILE"
	} >"$FILE.more"
	for _ in 1 2 3; do
		applies <"$FILE.more"
		traffic_flows
		applies <"$FILE"
		traffic_flows
	done
	diff <(sort "$FILE") <(shunt save | sort)
	[ "$(counts | head -n 1)" -ge "$before" ]
	end_traffic
}

# --- kill -9 ---------------------------------------------------------------------------------------

@test "apply: kill -9 at every point where it changes something: the same apply again mends" {
	local name number points

	need strace
	mkdir -p "$CGROUP_ROOT/more"
	cat >"$FILE.old" <<-END
		cgroup $CGROUP=eager
		exclude port:22
		exclude port:23
		iface r0
		monitor r0
		max-bytes 65536
		tcp dst 10.1.0.0/16 pass
		tcp dst 10.2.0.0/16 pass
	END
	cat >"$FILE.new" <<-END
		cgroup $CGROUP=eager
		cgroup $CGROUP_ROOT/more=eager
		exclude port:24
		exclude port:23
		iface r1
		max-messages 7
		nat r1
		tcp dst 10.2.0.0/16 to 127.0.0.1:80
		tcp dst 10.3.0.0/16 pass
		nat tcp dst 10.4.0.1 dport 80 to 10.3.0.1:80
	END
	# the first change of all makes more calls than those after it
	applies <"$FILE.old"
	applies <"$FILE.new"
	applies <"$FILE.old"
	points=$(changes "$SHUNT" apply --force "$FILE.new")
	diff "$FILE.new" <(shunt save | grep -v '^#')
	echo "$points"
	[ "$(wc -l <<<"$points")" -gt 20 ]
	while read -r name number; do
		echo "apply killed at $name $number"
		applies <"$FILE.old"
		diff "$FILE.old" <(shunt save | grep -v '^#')
		killed_at "$name" "$number" "$SHUNT" apply --force "$FILE.new"
		applies <"$FILE.new"
		diff "$FILE.new" <(shunt save | grep -v '^#')
		[ "$(halves)" = "loaded loaded loaded absent" ]
	done <<<"$points"
	shunt unload
	rmdir "$CGROUP_ROOT/more"
	[ ! -e "$PIN_DIR" ]
}
