#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Files that have the whole configuration: save, apply, --check.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/streams

setup_file()
{
	make_hosts
}

teardown_file()
{
	remove_hosts
}

setup()
{
	find_hosts
	mkdir -p "$CGROUP"
	host_state >"$BATS_TEST_TMPDIR/before"
	FILE=$BATS_TEST_TMPDIR/shunt.conf
}

teardown()
{
	clean_up_steer
}

half_is()
{
	[ -e "$PIN_DIR/$1/maps/shunt_conf" ] && echo loaded || echo absent
}

# halves: what is loaded, as four words
halves()
{
	echo "$(half_is bypass)" "$(half_is steering)" "$(half_is nat)" "$(half_is monitor)"
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
