# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Random rules and packets, and the rule that each packet has to meet: a plain
# reading of the precedence, without any of shunt's code.

# random_script SEED: prints lines "do WORD...", words for shunt steer, and lines "test
# WORD... | SERVICE...", packets for shunt steer test. The packet must meet a rule with
# one of these services; "none" means no rule.
random_script()
{
	awk -v seed="$1" '
	function pick(n) { return int(rand() * n) }

	function masked(addr, len) { return addr - addr % 2 ^ (32 - len) }

	function text(v6, addr) {
		if (v6)
			return sprintf("fd00::%x:%x", int(addr / 65536), addr % 65536)
		return sprintf("%d.%d.%d.%d", int(addr / 16777216), int(addr / 65536) % 256,
			int(addr / 256) % 256, addr % 256)
	}

	function range(low, high) { return low == high ? low : low "-" high }

	# the words that say what rule i matches
	function match_of(i, words) {
		words = proto[i] " dst " text(v6[i], dst[i]) "/" dst_len[i] + 96 * v6[i]
		if (src_len[i])
			words = words " src " text(v6[i], src[i]) "/" src_len[i] + 96 * v6[i]
		if (dlow[i] != 1 || dhigh[i] != 65535)
			words = words " dport " range(dlow[i], dhigh[i])
		if (slow[i])
			words = words " sport " range(slow[i], shigh[i])
		return iface[i] ? words " iface " iface[i] : words
	}

	function write_add(i) {
		print "do add " match_of(i) (pick(3) ? " to " (v6[i] ? "[::1]" : "127.0.0.1") \
			":" 1 + pick(65535) : " pass") " service " service[i]
	}

	# Few addresses and lengths, so that prefixes nest and rules overlap.
	function make_rule(i) {
		v6[i] = pick(2)
		proto[i] = pick(2) ? "tcp" : "udp"
		dst_len[i] = 4 * pick(9)
		dst[i] = masked(address[pick(6)], dst_len[i])
		src_len[i] = pick(2) * 8 * (1 + pick(4))
		src[i] = masked(address[pick(6)], src_len[i])
		dlow[i] = slow[i] = 0
		dhigh[i] = shigh[i] = 65535
		if (pick(3)) {
			dlow[i] = 1 + pick(20)
			dhigh[i] = dlow[i] + pick(3) * pick(20)
		} else {
			dlow[i] = 1
		}
		if (!pick(3)) {
			slow[i] = 1 + pick(10)
			shigh[i] = slow[i] + pick(10)
		}
		iface[i] = pick(5) ? "" : "r" pick(2)
		service[i] = "r" i
		live[i] = 1
	}

	function is_met(i) {
		return live[i] && v6[i] == p_v6 && proto[i] == p_proto &&
			masked(p_dst, dst_len[i]) == dst[i] && masked(p_src, src_len[i]) == src[i] &&
			p_dport >= dlow[i] && p_dport <= dhigh[i] && p_sport >= slow[i] &&
			p_sport <= shigh[i] && (!iface[i] || iface[i] == p_iface)
	}

	# The rule with the smallest rank is tried first.
	function rank(i) {
		return sprintf("%02d %02d %05d %05d %d", 32 - dst_len[i], 32 - src_len[i],
			dhigh[i] - dlow[i], shigh[i] - slow[i], !iface[i])
	}

	function write_test(i, best, wins) {
		p_v6 = pick(2)
		p_proto = pick(2) ? "tcp" : "udp"
		p_dst = address[pick(6)] + (pick(3) ? 0 : pick(16))
		p_src = address[pick(6)]
		p_dport = 1 + pick(40)
		p_sport = 1 + pick(20)
		p_iface = "r" pick(2)
		for (i = 0; i < rules; i++) {
			if (!is_met(i) || (best && rank(i) > best))
				continue
			wins = rank(i) == best ? wins " " service[i] : service[i]
			best = rank(i)
		}
		print "test " p_proto " dst " text(p_v6, p_dst) " dport " p_dport " src " \
			text(p_v6, p_src) " sport " p_sport " iface " p_iface " | " (wins ? wins : "none")
	}

	BEGIN {
		srand(seed)
		rules = 80
		# 10.0.0.0, and addresses that share ever longer prefixes with it
		for (i = 0; i < 6; i++)
			address[i] = 167772160 + pick(2) * 2 ^ (24 - 4 * i) + 16 * pick(2)
		for (i = 0; i < rules; i++) {
			do make_rule(i); while (match_of(i) in made)
			made[match_of(i)] = 1
			write_add(i)
		}
		for (i = 0; i < 60; i++)
			write_test()
		for (i = 0; i < rules; i++)
			if (!pick(3)) {
				live[i] = 0
				print "do del " match_of(i)
			} else if (!pick(4)) {
				service[i] = "again" i
				write_add(i)
			}
		for (i = 0; i < 60; i++)
			write_test()
	}'
}

# play SCRIPT: runs a script of random_script. Prints the tests with another result, and
# fails if there are any.
play()
{
	quickly follow "$1" >"$BATS_TEST_TMPDIR/answers"
	paste -d '|' <(grep ^test "$1") \
		<(jq -r '.rule.service // "none"' "$BATS_TEST_TMPDIR/answers") |
		awk -F '|' '!index($2 " ", " " $3 " ") { print; bad = 1 } END { exit bad }'
}

follow()
{
	local verb words

	while read -r verb words; do
		words=${words% | *}
		[ "$verb" != test ] || words="test $words"
		# shellcheck disable=SC2086 # words
		shunt -j steer $words || return
	done <"$1"
}
