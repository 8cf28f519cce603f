# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Tests are written with IPv4 addresses and run with both families. With family=6
# the address fd00::a01:203 stands for 10.1.2.3, and ::1 for 127.0.0.1.
#
# The results come in a variable: a command substitution would start a process.

family=4

# address 10.1.2.3: REPLY is that in the family at hand
address()
{
	local a b c d

	REPLY=$1
	[ $family = 6 ] || return 0
	case $1 in
	127.0.0.1) REPLY=::1 ;;
	0.0.0.0) REPLY=:: ;;
	*)
		IFS=. read -r a b c d <<<"$1"
		printf -v REPLY 'fd00::%x:%x' $((a << 8 | b)) $((c << 8 | d)) ;;
	esac
}

# endpoint 10.1.2.3 80: REPLY is ADDRESS:PORT in the family at hand
endpoint()
{
	address "$1"
	[ $family = 4 ] || REPLY="[$REPLY]"
	REPLY+=:$2
}

# translate WORD...: the array words is those words in the family at hand
translate()
{
	words=()
	for REPLY; do
		if [ $family = 4 ] || [[ ! $REPLY =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+ ]]; then
			:
		elif [ "$REPLY" = 0.0.0.0/0 ]; then
			REPLY=::/0
		elif [[ $REPLY =~ (.*)/(.*) ]]; then
			address "${BASH_REMATCH[1]}"
			REPLY+=/$((BASH_REMATCH[2] + 96))
		elif [[ $REPLY =~ (.*):(.*) ]]; then
			endpoint "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
		else
			address "$REPLY"
		fi
		words+=("$REPLY")
	done
}
