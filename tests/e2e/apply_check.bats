#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# 'shunt apply --check' and 'shunt load --check': what is wrong with a file, and what would change.

bats_require_minimum_version 1.5.0
load ../lib/steer
load ../lib/all_halves

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

@test "apply --check, load --check: the errors of all lines, and nothing changes" {
	local command

	shunt load --iface r0
	cat >"$FILE" <<-END
		iface r0
		iface no_such
		mark 3
		tcp dst 10.0.0.1 drop
		nat tcp dst 10.2.0.1
		max-rules
		tcp dst 10.0.0.2 pass
		tcp dst 10.0.0.2 pass
		udp dst 10.0.0.2 pass
		udp dst 10.0.0.2 pass
		nonsense
	END
	for command in 'apply --check' 'load --check --config'; do
		# shellcheck disable=SC2086 # words
		run -2 --separate-stderr shunt $command "$FILE"
		[ -z "$output" ]
		diff - <(cut -d: -f3 <<<"$stderr" | sort -n) <<<"$(seq 2 6; seq 8 2 10; echo 11)"
		# shellcheck disable=SC2086 # words
		shunt -j $command "$FILE" >"$BATS_TEST_TMPDIR/result" || true
		jq -e '(.errors | length == 8) and (.compared | not)' "$BATS_TEST_TMPDIR/result"
	done
	[ "$(options)" = "iface r0" ]
	[ "$(status steer.rules)" = 0 ]
}

@test "apply --check: says what would change, and changes nothing" {
	shunt load --force --iface r0 --cgroup "$CGROUP=eager" --monitor r0 --exclude port:22 --max-bytes 65536
	shunt steer add tcp dst 10.1.0.0/16 to 127.0.0.1:80
	shunt steer add tcp dst 10.2.0.0/16 to 127.0.0.1:80
	shunt save >"$FILE.before"
	cat >"$FILE" <<-END
		iface r1
		iface none*
		cgroup $CGROUP=eager
		exclude port:23
		max-bytes 131072
		tcp dst 10.2.0.0/16 pass
		tcp dst 10.3.0.0/16 iface none0 pass
		nat tcp dst 10.4.0.1 to 10.3.0.1
	END
	run -0 --separate-stderr shunt apply --check "$FILE"
	diff - <(echo "$output") <<-END
		would attach to 'r1' (iface)
		would attach to 'none*' (iface)
		would add --exclude port:23
		would change --max-bytes from 65536 to 131072
		would take away --exclude port:22
		would add 1 rule
		would change 1 rule
		would delete 1 rule
		would add 1 NAT rule
		would detach from 'r0' (iface)
		would detach from 'r0' (monitor)
		would unload monitor
	END
	[[ $stderr == *"no interface 'none*' yet"*"$FILE:7: the rule waits: there is no interface 'none0' yet"* ]]
	shunt -j apply --check "$FILE" >"$BATS_TEST_TMPDIR/result" 2>/dev/null
	jq -e '.compared and .errors == [] and .load == [] and .unload == ["monitor"]' "$BATS_TEST_TMPDIR/result"
	jq -e '.attach == [{"option": "iface", "name": "r1"}, {"option": "iface", "name": "none*"}]' "$BATS_TEST_TMPDIR/result"
	jq -e '.settings | any(. == {"option": "max-bytes", "from": "65536", "to": "131072"})' "$BATS_TEST_TMPDIR/result"
	jq -e '.rules == {"added": 1, "changed": 1, "deleted": 1} and .nat_rules.added == 1' "$BATS_TEST_TMPDIR/result"
	diff "$FILE.before" <(shunt save)
	[ "$(shunt apply --check "$FILE.before")" = "nothing would change" ]
}

@test "apply --check: what apply would refuse is refused" {
	shunt load --iface r0
	printf 'iface r0\nmark 0x4000000\n' >"$FILE"
	run -1 shunt apply --check "$FILE"
	[[ $output == *"$FILE:2: --mark can't change while steering is loaded"* ]]
	printf 'monitor r0\ntcp dst 10.1.0.0/16 pass\n' >"$FILE"
	shunt apply --check "$FILE"
	shunt unload
	run -1 shunt apply --check "$FILE"
	[[ $output == *"$FILE:2: a rule, but steering is not loaded"* ]]
	[ ! -e "$PIN_DIR" ]
}

@test "load --check: says what would be added, and loads nothing" {
	printf 'iface r0\nmax-rules 10\ntcp dst 10.2.0.0/16 pass\n' >"$FILE"
	diff - <(shunt load --check --config "$FILE" --monitor r1) <<-END
		would load steering
		would load nat
		would load monitor
		would attach to 'r0' (iface)
		would attach to 'r1' (monitor)
		would add 1 rule
	END
	[ ! -e "$PIN_DIR" ]
	shunt load --iface r0
	diff - <(shunt load --check --iface r0 --iface r1 --max-rules 10) <<-END
		would attach to 'r1' (iface)
		would change --max-rules from 1048576 to 10
	END
	run -1 shunt load --check --mark 0x2
	[ "$(options)" = "iface r0" ]
}

@test "apply --check, load --check: work without root, and say what they could not look at" {
	local command

	shunt load --iface r0
	printf 'iface r0\nmark 0x4000000\n' >"$FILE"
	for command in 'apply --check -' 'load --check --config -'; do
		# shellcheck disable=SC2086 # words
		run -0 setpriv --reuid 65534 --regid 65534 --clear-groups "$SHUNT" $command <"$FILE"
		[[ $output == *"not compared with what is loaded, which needs root" ]]
		# shellcheck disable=SC2086 # words
		setpriv --reuid 65534 --regid 65534 --clear-groups "$SHUNT" -j $command <"$FILE" |
			jq -e '.errors == [] and (.compared | not)'
		# shellcheck disable=SC2086 # words
		run -2 setpriv --reuid 65534 --regid 65534 --clear-groups "$SHUNT" $command <<<"mark 3"
		[[ $output == *"stdin:1: --mark '3': more than one bit"* ]]
	done
}
