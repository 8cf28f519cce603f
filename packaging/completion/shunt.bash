# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completion of shunt's words for bash. Commands, verbs, options and fixed values
# come from 'shunt help' and 'shunt COMMAND help'.

# _shunt_first: the first word of each line that is indented by two blanks
_shunt_first() { sed -nE 's/^  ([a-z]+)( .*|$)/\1/p'; }

# _shunt_options: words that begin with two hyphens
_shunt_options() { grep -oE '(^|[[| ])--[a-z][a-z-]*' | tr -d '[| '; }

# _shunt_values WORD: the words joined by '|' that follow WORD in the help
_shunt_values() {
	grep -oE "(^|[[( ])$1 [a-z]+(\\|[a-z]+)*" | grep -F -e '|' -e 'origin local' | sed 's/.* //' | tr '|' '\n'
}

# _shunt_rule: the words of a rule
_shunt_rule() { sed -n '/^RULE/,/^$/p' | grep -oE '[a-z]{2,}'; }

_shunt_ifaces() { sed -n 's/^ *\([^ :]*\):.*/\1/p' /proc/net/dev; }

# Names below the cgroup2 mount, as 'shunt load' takes them.
_shunt_cgroups() {
	local mount
	mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -z "$mount" ] || find "$mount" -mindepth 1 -maxdepth 4 -type d -printf '%P\n' 2>/dev/null
}

# _shunt_words SHUNT COMMAND PREVIOUS VERB: what may stand here
_shunt_words() {
	local help values

	case $3 in
	--iface | --nat | --monitor | iface) _shunt_ifaces; return ;;
	--cgroup | --router-cgroup) _shunt_cgroups; return ;;
	--exclude) printf '%s\n' port: process:; return ;;
	--group) compgen -g; return ;;
	--metrics) printf '%s\n' :9640 unix:/run/shunt/metrics.sock; return ;;
	esac
	if [ -z "$2" ]; then
		"$1" help | _shunt_first
		"$1" help | _shunt_options
		return
	fi
	help=$("$1" "$2" help 2>/dev/null) || return
	values=$(_shunt_values "$3" <<<"$help")
	[ -z "$values" ] || { echo "$values"; return; }
	case $2:$4 in
	steer: | nat:) _shunt_first <<<"$help" ;;
	steer:* | nat:*) grep "^  $4 " <<<"$help" | _shunt_options ;;
	*) _shunt_options <<<"$help" ;;
	esac
	case $2:$4 in
	steer:add | steer:del | steer:test | nat:add | nat:del) _shunt_rule <<<"$help" ;;
	unload:*) grep -oE '\(bypass, [a-z, ]*' <<<"$help" | tr -d '(' | tr -s ', ' '\n' ;;
	help:) "$1" help | _shunt_first ;;
	esac
}

_shunt() {
	local command='' verb='' i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--pin-dir) i=$((i + 1)) ;;
		-*) ;;
		*)
			[ -z "$command" ] || { verb=${COMP_WORDS[i]}; break; }
			command=${COMP_WORDS[i]}
			;;
		esac
	done
	COMPREPLY=()
	case $command:$2:$3 in
	apply:-*) ;;
	*:--config | *:--pin-dir | apply:*)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$(_shunt_words "$1" "$command" "$3" "$verb")" -- "$2" | sort -u)
	[[ ${COMPREPLY[*]} != *: ]] || compopt -o nospace 2>/dev/null
}

complete -F _shunt shunt
