#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# shunt is unloaded and loaded again, as by 'systemctl restart shunt', while routers run: their rules
# are there again.

bats_require_minimum_version 1.5.0
load ../lib/ziti
load ../lib/kills

KEPT=/run/shunt/sys-fs-bpf-shunt.rules

teardown()
{
	end_all
	ip addr del 10.1.2.3/32 dev lo
	clean_up
	[ ! -e /run/shunt ]
}

# restart [WORD...]: what the unit does, with more words for load
restart()
{
	shunt unload
	shunt load --iface lo "$@"
}

listed()
{
	shunt -j steer list | jq -c 'map([.service, .shadowed // false])'
}

@test "restart: the rules of a router that runs are there again, and steer" {
	local before

	router a
	does a add web tcp 10.1.2.3/32 80 80
	does a add web_udp udp 10.1.2.3/32 80 90
	does a add net tcp 10.2.0.0/16 1 1000 10.0.0.0/8
	before=$(rules)
	[ "$(via)$(via_udp)" = webweb_udp ]
	run shunt unload
	[[ $output == *"kept 3 rules of routers that run"* ]]
	[ "$(stat -c '%a %u' "$KEPT")" = '600 0' ]
	run shunt load --iface lo
	[[ $output == *"3 rules of routers that run are back"* ]]
	[ ! -e "$KEPT" ]
	[ "$(rules)" = "$before" ]
	[ "$(via)$(via_udp)" = webweb_udp ]
	# the router still owns them
	does a del web
	[ -z "$(via)" ]
	crash a
	router b
	grep '2 rules of a router that has ended are deleted' "$BATS_TEST_TMPDIR/b.err"
	[ -z "$(rules)" ]
}

@test "restart: the supervisor ends with the unload, and a new one serves the router's rules" {
	supervise
	router a
	does a add web tcp 10.1.2.3/32 80 80
	shunt unload
	reap supervisor
	rm "$BATS_TEST_TMPDIR"/supervisor.*
	shunt load --iface lo
	supervise
	[ "$(via)" = web ]
	crash supervisor
	supervise
	[ "$(via)" = web ]
}

@test "restart: the rules of a router that has ended meanwhile are not there" {
	router a
	router b
	does a add gone tcp 10.1.2.3/32 80 80
	does b add stays tcp 10.1.2.3/32 80 80
	does a add gone2 tcp 10.1.2.3/32 81 81
	shunt unload
	crash a
	run shunt load --iface lo
	[[ $output == *"1 rule of routers that run is back"* ]]
	[[ $output == *"2 rules of a router that has ended since unload are not brought back"* ]]
	[ "$(services)" = stays ]
	[ "$(via)" = stays ]
}

@test "restart: unload keeps no rules of a router that has ended before" {
	router a
	does a add gone tcp 10.1.2.3/32 80 80
	crash a
	shunt unload
	[ ! -e /run/shunt ]
	shunt load --iface lo
	[ -z "$(rules)" ]
}

@test "restart: services with the same packets keep their order, and each comes back when the newer is deleted" {
	local before

	router a
	router b
	does a add first tcp 10.1.2.3/32 80 80
	does b add second tcp 10.1.2.3/32 80 80
	does a add third tcp 10.1.2.3/32 80 80
	before=$(listed)
	[ "$before" = '[["third",false],["second",true],["first",true]]' ]
	restart
	[ "$(listed)" = "$before" ]
	[ "$(via)" = third ]
	does a del third
	[ "$(via)" = second ]
	does b del second
	[ "$(via)" = first ]
}

@test "restart: rules of the file come from the file, rules added by hand go" {
	echo 'tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33080 service file' >"$BATS_TEST_TMPDIR/rules"
	restart --config "$BATS_TEST_TMPDIR/rules"
	router a
	does a add web tcp 10.1.2.3/32 80 80
	does a add other tcp 10.1.2.3/32 81 81
	shunt steer add tcp dst 10.1.2.3 dport 90 pass
	"${SHUNT%/*}/shunt-diverter" -I -c 10.1.2.3 -m 32 -p tcp -l 91 -h 91 -t 33091 -s hand
	shunt nat add tcp dst 10.9.9.9 dport 80 to 10.1.2.3:80
	[ "$(services | tr , '\n' | sort | paste -sd,)" = "file shadowed,hand,other,web" ]
	restart --config "$BATS_TEST_TMPDIR/rules"
	[ "$(services)" = "web,file shadowed,other" ]
	[ "$(shunt -j nat list)" = '[]' ]
	does a del web
	[ "$(services)" = "file,other" ]
}

@test "restart: unload of steering alone keeps the rules, and other halves go on" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	shunt load --monitor lo
	shunt unload steering
	[ -e "$KEPT" ]
	shunt load --iface lo
	[ "$(via)" = web ]
	shunt load --monitor lo
	[ ! -e "$KEPT" ]
}

@test "restart: a load that fails keeps the rules for the next one" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	shunt unload
	run ! shunt load --iface lo --mark 0
	run ! shunt load --iface lo --cgroup "$CGROUP_ROOT"/missing
	# steering is loaded, and then the second half fails
	mkdir -p "$CGROUP" "$CGROUP_ROOT/held"
	other load --cgroup "$CGROUP=eager" --force
	bpftool cgroup attach "$CGROUP_ROOT/held" sock_ops \
		pinned "$OTHER_DIR/bypass/progs/shunt_eager" 3>&-
	run ! shunt load --iface lo --cgroup "$CGROUP_ROOT/held=eager" --force
	bpftool cgroup detach "$CGROUP_ROOT/held" sock_ops \
		pinned "$OTHER_DIR/bypass/progs/shunt_eager" 3>&-
	other unload
	[ -e "$KEPT" ]
	shunt load --iface lo
	[ "$(via)" = web ]
}

@test "restart: unload --forget keeps nothing, and drops what an earlier unload has kept" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	shunt unload --forget
	[ ! -e /run/shunt ]
	shunt load --iface lo
	[ -z "$(rules)" ]
	does a add web2 tcp 10.1.2.3/32 80 80
	shunt unload
	[ -e "$KEPT" ]
	shunt unload --forget
	[ ! -e /run/shunt ]
	shunt load --iface lo
	[ -z "$(rules)" ]
}

# refused PATTERN: load says this, in one line, brings nothing back, and does not fail
refused()
{
	run -0 shunt load --iface lo
	echo "$output"
	[ "$(grep -c "$KEPT" <<<"$output")" = 1 ]
	[[ $output == *"'$KEPT' are not brought back: $1"* ]]
	[ -z "$(rules)" ]
	[ ! -e "$KEPT" ]
	shunt unload
	mkdir -p /run/shunt
}

@test "restart: kept rules that are damaged, foreign or old are refused by one line, and load goes on" {
	local file=$BATS_TEST_TMPDIR/kept i

	router a
	does a add web tcp 10.1.2.3/32 80 80
	shunt unload
	cp -p "$KEPT" "$file"
	sed 's/dport 80/dport 81/' "$file" >"$KEPT"
	refused 'the file is damaged'
	for i in 0 1 20 60 $(($(stat -c %s "$file") - 1)); do
		head -c "$i" "$file" >"$KEPT"
		chmod 600 "$KEPT"
		[ "$i" != 0 ] || continue
		refused 'the file is damaged'
	done
	{ head -n 1 "$file"; head -c 5000 /dev/urandom; } >"$KEPT"
	refused 'the file is damaged'
	sed 's/kept-rules 1/kept-rules 2/' "$file" >"$KEPT"
	refused 'the file is damaged, or of another version'
	sed '1s/ 1 [0-9a-f]/ 1 x/' "$file" >"$KEPT"
	refused 'the host was booted since'
	awk 'NR == 1 { $4++ } { print }' "$file" >"$KEPT"
	refused 'they are of another network namespace'
	cp -p "$file" "$KEPT"
	chmod 666 "$KEPT"
	refused "the file is not root's own"
	cp -p "$file" "$KEPT"
	chown 64321 "$KEPT"
	refused "the file is not root's own"
	ln -s "$file" "$KEPT"
	refused 'Too many levels of symbolic links'
	mkfifo "$KEPT"
	refused "the file is not root's own"
	cp -p "$file" "$KEPT"
	shunt load --iface lo
	[ "$(via)" = web ]
}

@test "restart: rules of routers that can't be kept stop no unload" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	: >/run/shunt
	run -0 shunt unload
	[[ $output == *"can't keep the rules of routers in '/run/shunt'"* ]]
	rm /run/shunt
	shunt load --iface lo
	[ -z "$(rules)" ]
}

@test "restart: two shunts with pin directories of their own each keep their rules" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	ip link add veth0 type veth peer name veth1
	other load --iface veth0 --mark 0x40000000 --table 4711
	other unload
	shunt unload
	other load --iface veth0 --mark 0x40000000 --table 4711
	[ "$(other -j steer list)" = '[]' ]
	unload_other
	ip link del veth0
	shunt load --iface lo
	[ "$(via)" = web ]
}

@test "restart: a service that comes, and one that goes, while shunt is unloaded: the calls wait for the load" {
	router a
	does a add old tcp 10.1.2.3/32 80 80
	does a add stays tcp 10.1.2.3/32 82 82
	shunt unload
	tell a del old
	tell a add new tcp 10.1.2.3/32 81 81
	spawn starts "${SHUNT%/*}/shunt-diverter" -V
	run ! "$SHUNT" steer list
	shunt load --iface lo
	said a 'done add new'
	reap starts
	[ "$(services)" = new,stays ]
	# after a while nobody waits any more
	shunt unload
	touch -d '-10 seconds' "$KEPT"
	run ! "${SHUNT%/*}/shunt-diverter" -V
	[[ $output == *"not loaded"* ]]
	shunt load --iface lo
}

@test "restart: kill -9 of unload at every point: the next load has the router's rules" {
	local name number points

	need strace
	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add web tcp 10.1.2.3/32 80 80
	points=$(changes "$SHUNT" unload)
	shunt load --iface lo
	while read -r name number; do
		echo "unload killed at $name $number"
		killed_at "$name" "$number" "$SHUNT" unload || true
		shunt load --iface lo
		[ "$(services)" = "web,older shadowed" ]
	done <<<"$points"
	shunt unload
	points=$(changes "$SHUNT" load --iface lo)
	while read -r name number; do
		echo "load killed at $name $number"
		shunt unload
		killed_at "$name" "$number" "$SHUNT" load --iface lo
		shunt load --iface lo
		[ "$(services)" = "web,older shadowed" ]
	done <<<"$points"
	[ "$(via)" = web ]
}

# --- apply, as in systemctl reload ------------------------------------------------------------------

@test "apply: the rules of a router that runs stay; those of one that has ended go" {
	local file=$BATS_TEST_TMPDIR/file

	router a
	does a add web tcp 10.1.2.3/32 80 80
	router b
	does b add other tcp 10.3.0.0/16 80 80
	shunt steer add tcp dst 10.9.0.0/16 pass
	echo 'tcp dst 10.8.0.0/16 pass' >"$file"
	run -0 shunt apply --check "$file"
	[[ $output == *"delete 1 rule"* ]]
	run -0 shunt apply "$file"
	[[ $output == *"3 rules: 1 added, 0 changed, 1 deleted"* ]]
	[ "$(via)" = web ]
	crash b
	shunt apply "$file"
	[ "$(shunt -j steer list | jq -c 'map(.service // "") | sort')" = '["","web"]' ]
	# the file has the router's own rule, as 'shunt save' prints the rule
	shunt save rules >"$file"
	run -0 shunt apply "$file"
	[[ $output == *"2 rules: 0 added, 0 changed, 0 deleted"* ]]
	# and one for the same packets
	echo 'tcp dst 10.1.2.3/32 dport 80 pass' >"$file"
	shunt apply "$file"
	[ -z "$(via)" ]
	shunt -j steer list | jq -e 'any(.[]; .service == "web" and .shadowed)'
	echo 'tcp dst 10.8.0.0/16 pass' >"$file"
	shunt apply "$file"
	[ "$(via)" = web ]
	does a del web
	[ -z "$(via)" ]
}

@test "apply: a router's rule stays the router's when a rule of the file shadows it, and when it comes back" {
	local file=$BATS_TEST_TMPDIR/file

	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add web tcp 10.1.2.3/32 80 80
	echo 'tcp dst 10.8.0.0/16 pass' >"$file"
	echo 'tcp dst 10.1.2.3 dport 80 to 127.0.0.1:33080 service file' | shunt apply -
	[ "$(services)" = "file,web shadowed,older shadowed" ]
	shunt apply "$file"
	[ "$(services)" = "web,older shadowed" ]
	shunt apply "$file"
	[ "$(services)" = "web,older shadowed" ]
	# the file was saved before the newer service came
	rules | sed -n 's/ shadowed$//p' | shunt apply -
	[ "$(services)" = "older,web shadowed" ]
	shunt apply "$file"
	[ "$(services)" = "older,web shadowed" ]
	crash a
	router a
	grep '2 rules of a router that has ended are deleted' "$BATS_TEST_TMPDIR/a.err"
	[ -z "$(services)" ]
}
