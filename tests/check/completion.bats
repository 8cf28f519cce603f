#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What the Tab key offers in bash, zsh and fish.

load ../lib/common

setup()
{
	cd "$PROJECT/packaging/completion" || return
	PATH=${SHUNT%/*}:$PATH
	ip link add eth-tab type veth peer name far-tab
	mkdir "$CGROUP_ROOT/tab"
}

teardown()
{
	ip link del eth-tab
	rmdir "$CGROUP_ROOT/tab"
}

# in_bash WORD...: what is offered for the last word, one a line
in_bash()
{
	# shellcheck disable=SC2016 # for the other bash
	bash -c '. ./shunt.bash; COMP_WORDS=(shunt "$@"); COMP_CWORD=$#
		previous=${COMP_WORDS[COMP_CWORD - 1]}
		_shunt shunt "${COMP_WORDS[COMP_CWORD]}" "$previous"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# in_zsh WORD...: the function alone. compadd, which needs a line editor, is replaced
# by one that filters as the editor does.
in_zsh()
{
	# shellcheck disable=SC2016
	zsh -fc 'compadd() { shift; print -l -- ${(M)@:#${words[CURRENT]}*} }
		_files() { print -l -- ${words[CURRENT]}*(N) }
		. ./_shunt; words=(shunt "$@"); CURRENT=$#words; _shunt' zsh "$@"
}

in_fish()
{
	# shellcheck disable=SC2016
	HOME=$BATS_TEST_TMPDIR fish -Nc 'source ./shunt.fish; complete -C "shunt $argv"' -- "$@"
}

# offers SHELL 'WANTED...' WORD...: these and no others
offers()
{
	local got

	got=$("in_$1" "${@:3}" | sort -u | xargs)
	[ "$got" = "$(tr ' ' '\n' <<<"$2" | sort -u | xargs)" ] || {
		echo "$1, shunt ${*:3}: '$got', not '$2'"
		return 1
	}
}

# Each line: what is offered, then what was typed; the last word may be empty ('').
check_all()
{
	command -v "$1" >/dev/null || skip "no $1: scripts/deps.sh check"
	offers "$1" 'unload' unl
	offers "$1" 'save sockets status steer' s
	offers "$1" '--max-bytes --max-flows --max-messages --max-rules' load --max-
	offers "$1" 'add del list flush prune test help' steer ''
	offers "$1" '--older-than' steer prune --
	offers "$1" '--metrics --metrics-rules' run --metr
	offers "$1" '--openmetrics' metrics --o
	offers "$1" ':9640 unix:/run/shunt/metrics.sock' run --metrics ''
	offers "$1" 'flows flush' nat fl
	offers "$1" 'eth-tab' load --iface eth-t
	offers "$1" 'eth-tab' steer add tcp iface eth-t
	offers "$1" "${CGROUP_ROOT##*/}/tab" load --cgroup "${CGROUP_ROOT##*/}/ta"
	offers "$1" 'bypass' unload by
	offers "$1" 'take keep' steer add tcp dst 10.0.0.0/8 own ''
	offers "$1" 'dport dst' steer del tcp d
	offers "$1" 'packets' monitor --sort pa
	offers "$1" 'steer status save sockets' --pin-dir /tmp -j s
	offers "$1" 'shunt.bash shunt.fish' load --config shunt.
	offers "$1" 'shunt.bash shunt.fish' apply --check shunt.
	offers "$1" '--check --force' apply --
}

@test "completion: bash offers commands, verbs, options, interfaces, cgroups, files" {
	check_all bash
}

@test "completion: zsh offers the same" {
	check_all zsh
}

@test "completion: fish offers the same" {
	check_all fish
}

@test "completion: a command that does not exist is no error" {
	[ -z "$(in_bash nonsense '' 2>&1)" ]
}
