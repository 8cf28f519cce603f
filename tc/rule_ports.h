/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rule of a node for the packet's ports. A node with few rules has these inline. One
 * with more has its single ports in the index, its port ranges in a table of steps, and the
 * rules for a range of both ports in a list.
 */
#ifndef SHUNT_RULE_PORTS_H
#define SHUNT_RULE_PORTS_H

#include "rule_maps.h"

#define LIST_MAX 65536
#define STEPS_LOG 18 /* halvings until one port step is left */

static __always_inline bool ports_match(const struct shunt_rule *r, const struct search *s)
{
	return s->dport >= r->dport_low && s->dport <= r->dport_high && s->sport >= r->sport_low &&
	       s->sport <= r->sport_high;
}

/* bpf_loop() callback: sets match if rule i of the list matches. Ends at a rule with a wider range of
 * destination ports than max_width, because the list is in order of precedence. */
static long list_cb(__u32 i, void *data)
{
	struct search_ctx *ctx = data;
	struct search *s = ctx->s;
	const struct shunt_rule *rule;
	struct shunt_rule_list *list;
	__u32 at = i + 1;

	if (i >= s->count)
		return 1;
	list = unit_at(ctx->store, s->unit + at / 16);
	if (!list)
		return 1;
	at = ((__u32 *)list)[at & 15];
	rule = rule_at(ctx->store, at);
	if (!rule || rule->node != s->node ||
	    (__u32)rule->dport_high - rule->dport_low > s->max_width)
		return 1;
	if (!ports_match(rule, s))
		return 0;
	s->match = at;
	return 1;
}

/* Sets match to the first rule of a list that matches. */
static __always_inline void search_list(struct search_ctx *ctx, __u32 unit, __u32 max_width)
{
	struct shunt_rule_list *list = unit_at(ctx->store, unit);

	ctx->s->match = 0;
	if (!list)
		return;
	ctx->s->unit = unit;
	ctx->s->count = list->count;
	ctx->s->max_width = max_width;
	bpf_loop(LIST_MAX, list_cb, ctx, 0);
}

/* Sets match to the rule for the packet's single destination port. */
static __always_inline void search_port(struct search_ctx *ctx, const struct shunt_node *node)
{
	struct search *s = ctx->s;
	__u32 value = find_slot(ctx->store, s->index, s->index_mask,
				port_hash(s->seed, node->port_index_id, s->dport));
	const struct shunt_rule *rule;

	s->match = 0;
	if ((value & SLOT_KIND_MASK) == SLOT_LIST)
		return search_list(ctx, value & ~SLOT_KIND_MASK, 0);
	if ((value & SLOT_KIND_MASK) != SLOT_RULE)
		return;
	rule = rule_at(ctx->store, value & ~SLOT_KIND_MASK);
	if (rule && rule->node == s->node && ports_match(rule, s))
		s->match = value & ~SLOT_KIND_MASK;
}

/* One step of a binary search for the last port step that is not above the port. */
static long bisect_cb(__u32 i, void *data)
{
	struct search_ctx *ctx = data;
	struct search *s = ctx->s;
	__u32 middle = (s->low + s->high) / 2;
	const struct shunt_port_step *step;

	(void)i;
	if (s->low + 1 >= s->high)
		return 1;
	step = word_at(ctx->store, s->unit, middle);
	if (!step)
		return 1;
	if (step->port <= s->dport)
		s->low = middle;
	else
		s->high = middle;
	return 0;
}

/* Sets match to the rule with the narrowest range that holds the port. */
static __always_inline void search_ranges(struct search_ctx *ctx, __u32 unit)
{
	const struct shunt_port_table *table = unit_at(ctx->store, unit);
	const struct shunt_port_hint *hint;
	const struct shunt_port_step *step;
	struct search *s = ctx->s;
	__u32 i;

	s->match = 0;
	if (!table)
		return;
	i = s->dport >> (table->shift & 31);
	hint = word_at(ctx->store, table->first_hint, i);
	if (!hint)
		return;
	s->unit = unit + 1;
	s->low = hint->low;
	s->high = hint->high;
	bpf_loop(STEPS_LOG, bisect_cb, ctx, 0);
	step = word_at(ctx->store, s->unit, s->low);
	if (step)
		s->match = step->rule;
}

/* The rule of a node that has more rules than it can hold. */
static __attribute__((noinline)) int search_large_node(struct search_ctx *ctx,
						       const struct shunt_node *node)
{
	struct search *s = ctx->s;
	const struct shunt_rule *rule;
	__u32 found, width = 65535;

	s->node = node->id;
	search_port(ctx, node);
	if (s->match)
		return s->match;
	if (node->port_table)
		search_ranges(ctx, node->port_table);
	found = s->match;
	if (!node->port_pair_rules)
		return found;
	if (found) {
		rule = rule_at(ctx->store, found);
		if (rule)
			width = rule->dport_high - rule->dport_low;
	}
	search_list(ctx, node->port_pair_rules, width);
	return s->match ? s->match : found;
}

/* The rule of the node for the packet's ports; 0 if there is none. */
static __always_inline __u32 rule_in_node(struct search_ctx *ctx, const struct shunt_node *node)
{
	const struct shunt_rule *rule;
	int i;

	if (node->port_index_id)
		return search_large_node(ctx, node);
	for (i = 0; i < SHUNT_INLINE_RULES; i++) {
		if (!node->inline_rules[i].rule)
			return 0;
		if (ctx->s->dport < node->inline_rules[i].low ||
		    ctx->s->dport > node->inline_rules[i].high)
			continue;
		rule = rule_at(ctx->store, node->inline_rules[i].rule);
		if (rule && ports_match(rule, ctx->s))
			return node->inline_rules[i].rule;
	}
	return 0;
}

#endif
