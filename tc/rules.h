/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the rule for a packet. The filter tells the lengths of the destination prefixes
 * that cover the packet's destination and have rules. For each of them, the longest first,
 * the index leads to the prefix's node, and to the nodes of the source prefixes below it. A
 * node gives its rule for the ports. The time does not depend on the number of rules.
 */
#ifndef SHUNT_TC_RULES_H
#define SHUNT_TC_RULES_H

#include "rule_prefixes.h"
#include "rule_ports.h"

/* Nodes that a search looks at, at most: 129 lengths of destinations, and for each the 129
 * of sources, the destination's own node, and the step that finds it. */
#define NODES_MAX (129 * 131)

/* The narrower of two rules: one for any interface, one for the packet's interface. */
static __always_inline __u32 narrower(void *store, __u32 any, __u32 iface)
{
	const struct shunt_rule *a, *b;
	__u32 width_a, width_b;

	if (!any || !iface)
		return any ? any : iface;
	a = rule_at(store, any);
	b = rule_at(store, iface);
	if (!a || !b)
		return iface;
	width_a = (__u32)(a->dport_high - a->dport_low) << 16 |
		  (__u16)(a->sport_high - a->sport_low);
	width_b = (__u32)(b->dport_high - b->dport_low) << 16 |
		  (__u16)(b->sport_high - b->sport_low);
	return width_a < width_b ? any : iface;
}

/* The rule for one destination prefix and one source prefix of this length. The node is
 * the source prefix's one for any interface; NULL if there is none. */
static __always_inline __u32 rule_of_prefixes(struct search_ctx *ctx, const struct shunt_node *node,
					      __u32 len)
{
	struct search *s = ctx->s;
	__u32 found = 0;

	if (node && s->ifindex != SHUNT_LOCAL_IFINDEX)
		found = rule_in_node(ctx, node);
	if (!s->iface_below)
		return found;
	node = find_node(ctx->store, s, s->id, len, s->iface_below, &s->src);
	return narrower(ctx->store, found, node ? rule_in_node(ctx, node) : 0);
}

/*
 * Looks for a rule in the node that is to be tried next. For each destination prefix, the longest
 * first, these are the nodes of its source prefixes, the longest first, and then the
 * destination's own node. That one has to be found first, because it tells which source
 * prefixes there are; s->waiting keeps its unit until its turn.
 */
static long nodes_cb(__u32 i, void *data)
{
	struct search_ctx *ctx = data;
	struct search *s = ctx->s;
	const struct shunt_node *node;
	__u32 len = 0;

	(void)i;
	if (s->src_lens.hi | s->src_lens.lo) {
		len = next_length(&s->src_lens);
		node = find_node(ctx->store, s, s->id, len, 0, &s->src);
	} else if (s->waiting) {
		node = unit_at(ctx->store, s->waiting);
		s->waiting = 0;
	} else {
		len = next_length(&s->lens);
		if (!len && !s->try_len0)
			return 1;
		if (!len)
			s->try_len0 = 0;
		node = find_node(ctx->store, s, s->table, len, 0, &s->dst);
		if (!node)
			return 0;
		s->id = node->id;
		s->iface_below = node->has_iface_nodes ? s->ifindex : 0;
		s->src_levels = node->src_levels;
		if (s->src_levels) {
			s->waiting = s->node_unit;
			find_lengths(ctx, s->id, s->src_levels);
			return 0;
		}
		len = 0;
	}
	s->found = rule_of_prefixes(ctx, node, len);
	return s->found != 0;
}

struct rule_match {
	__u32 rule; /* unit, 0: no rule matches */
	__u32 counters;
	__u8 action;
	__u8 own; /* enum shunt_own */
	__u16 to_port;
	__u8 to[16];
	__u32 unknown; /* enum shunt_unknown */
};

/* Searches the rule for the packet and sets ctx->s->found to its unit; 0: there is none. */
static __always_inline void search(struct search_ctx *ctx, const struct packet *pkt)
{
	const struct shunt_store_header *head = unit_at(ctx->store, 0);
	__u32 table = table_of(pkt->family, pkt->proto);
	struct search *s = ctx->s;

	s->found = s->waiting = 0;
	s->src_lens.hi = s->src_lens.lo = 0;
	if (!head || !(head->levels[table] | head->has_len0[table]))
		return;
	s->src = bits_of(pkt->src);
	s->dst = bits_of(pkt->dst);
	s->seed = head->seed;
	s->filter = head->filter;
	s->filter_mask = head->filter_mask;
	s->index = head->index;
	s->index_mask = head->index_mask;
	s->ifindex = pkt->ifindex;
	s->sport = pkt->sport;
	s->dport = pkt->dport;
	s->family = pkt->family;
	s->group = pkt->group;
	s->table = table;
	s->try_len0 = head->has_len0[table];
	s->lens.hi = s->lens.lo = 0;
	s->levels = head->try_all_lengths[table] ? 0 : head->levels[table];
	if (s->levels)
		find_lengths(ctx, table, s->levels);
	else
		try_all_lengths(ctx);
	if (s->try_len0 || s->lens.hi || s->lens.lo)
		bpf_loop(NODES_MAX, nodes_cb, ctx, 0);
}

/* Whether the rule may take the packet, if the packet is for many hosts. This host's own
 * members of the group want the packet, too. So only a rule for that very address, or for
 * addresses that are all multicast, takes the packet. */
static __always_inline bool may_take_group(const struct search *s, const struct shunt_rule *rule)
{
	bool v4 = s->family == AF_INET;
	bool multicast = v4 ? s->dst.hi >> 60 == 0xe : s->dst.hi >> 56 == 0xff;

	if (!s->group && !multicast && !(v4 && s->dst.hi >> 32 == 0xffffffff))
		return true;
	return rule->dst_len == (v4 ? 32 : 128) || (multicast && rule->dst_len >= (v4 ? 4 : 8));
}

/* Finds the rule for pkt, all fields of which are set. Returns the rule's unit, 0 if there
 * is no rule. Not static: the verifier checks the function once, not for each caller. */
__weak __attribute__((noinline)) int shunt_find(const struct packet *pkt, struct rule_match *ret)
{
	const struct shunt_rule *rule;
	__u32 zero = 0;
	struct search_ctx ctx;

	if (!pkt || !ret)
		return 0;
	ctx.store = bpf_map_lookup_elem(&shunt_rules, &zero);
	if (!ctx.store)
		return 0;
	ctx.s = bpf_map_lookup_elem(&shunt_search, &zero);
	if (!ctx.s)
		return 0;
	search(&ctx, pkt);
	ret->rule = ctx.s->found;
	if (!ret->rule)
		return 0;
	rule = rule_at(ctx.store, ret->rule);
	if (!rule || !may_take_group(ctx.s, rule))
		return 0;
	ret->counters = rule->counters;
	ret->action = rule->action;
	ret->own = rule->own;
	ret->unknown = rule->unknown;
	ret->to_port = rule->to_port;
	__builtin_memcpy(ret->to, rule->to, 16);
	return ret->rule;
}

#endif
