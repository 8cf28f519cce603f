/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the rule for a packet. A prefix trie gives the group of rules with
 * the longest matching destination prefix; its rules stand in order of
 * precedence (loader/rules.c); when none matches, the group of the next
 * shorter prefix is tried.
 */
#ifndef SHUNT_RULES_H
#define SHUNT_RULES_H

#include "packet.h"
#include "prefix.bpf.h"

struct shunt_rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_rule);
};
MAP(shunt_rules);

struct shunt_groups_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_group);
};
MAP(shunt_groups);

struct shunt_dst4_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, SHUNT_RULES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_dst4);
	__type(value, __u32);
};
MAP(shunt_dst4);

struct shunt_dst6_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, SHUNT_RULES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_dst6);
	__type(value, __u32);
};
MAP(shunt_dst6);

struct search {
	const struct packet *pkt;
	__u32 group;
	__u32 rule;
	__u32 found;
};

static __always_inline __u32 longest_group(const struct packet *pkt)
{
	__u32 *group;

	if (pkt->family == AF_INET) {
		struct shunt_dst4 key = { .len = SHUNT_DST_HEAD + 32, .proto = pkt->proto };

		__builtin_memcpy(key.dst, pkt->dst, 4);
		group = bpf_map_lookup_elem(&shunt_dst4, &key);
	} else {
		struct shunt_dst6 key = { .len = SHUNT_DST_HEAD + 128, .proto = pkt->proto };

		__builtin_memcpy(key.dst, pkt->dst, 16);
		group = bpf_map_lookup_elem(&shunt_dst6, &key);
	}
	return group ? *group : 0;
}

static __always_inline bool rule_matches(const struct shunt_rule *r, const struct packet *pkt)
{
	/* r->used is not asked: a rule that is just being replaced must still
	 * match for a packet that has come to it. */
	return (!r->ifindex || r->ifindex == pkt->ifindex) &&
	       pkt->dport >= r->dport_low && pkt->dport <= r->dport_high &&
	       pkt->sport >= r->sport_low && pkt->sport <= r->sport_high &&
	       in_prefix(pkt->src, r->src, r->src_len);
}

/* One step: look at the current rule, or move to the next group. */
static long search_step(__u32 i, void *data)
{
	struct search *s = data;
	struct shunt_group *group;
	struct shunt_rule *rule;

	(void)i;
	if (!s->rule) {
		if (!s->group)
			return 1;
		group = bpf_map_lookup_elem(&shunt_groups, &s->group);
		if (!group)
			return 1;
		s->rule = group->first;
		s->group = group->parent;
		return 0;
	}
	rule = bpf_map_lookup_elem(&shunt_rules, &s->rule);
	if (!rule)
		return 1;
	if (rule_matches(rule, s->pkt)) {
		s->found = s->rule;
		return 1;
	}
	s->rule = rule->next;
	return 0;
}

/* The index in shunt_rules of the rule for pkt, 0 if there is none. */
static __always_inline __u32 rule_for(const struct packet *pkt)
{
	struct search s = { .pkt = pkt, .group = longest_group(pkt) };

	if (s.group)
		bpf_loop(2 * SHUNT_RULES, search_step, &s, 0);
	return s.found;
}

#endif
