/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the rule for a packet. The filter tells which destination prefixes
 * that cover it have rules; for each, the longest first, the index gives the
 * bin of that prefix, and the bins of the source prefixes below it. A bin
 * gives its rule for the ports. How many rules there are does not matter.
 *
 * All of a search uses one inner map, which the loader may replace meanwhile.
 */
#ifndef SHUNT_TC_RULES_H
#define SHUNT_TC_RULES_H

#include <shunt/rule_hash.h>
#include "packet.h"

/* Only the loader writes to these maps. */
struct shunt_store_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shunt_unit));
};

/* one entry: the units */
struct shunt_rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct shunt_store_map);
};
MAP(shunt_rules);

struct shunt_part_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shunt_rule_counters));
};

/* one entry: what each rule has done */
struct shunt_rule_counters_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct shunt_part_map);
};
MAP(shunt_rule_counters);

/* What a search knows so far. It is in a map, not on the stack: there is room,
 * and the verifier need not follow every value it may have. */
struct search {
	struct bits src;
	struct bits dst;
	struct bits lens;     /* lengths of destination prefixes to be tried yet: */
	struct bits src_lens; /* bit i is for length i + 1 */
	__u64 seed;
	__u32 filter;
	__u32 filter_mask;
	__u32 index;
	__u32 index_mask;
	__u32 ifindex;
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 any;             /* length 0 is to be tried yet */
	__u8 group;           /* sent to many */
	__u8 pad;
	__u32 table;
	__u32 id;             /* of the destination's bin */
	__u32 iface_below;    /* ifindex, if nodes for single interfaces are below; else 0 */
	__u32 src_levels;
	__u32 context;        /* of the lengths that are looked for, */
	__u32 levels;
	__u32 known;          /* and eight levels of them */
	__u32 at;             /* unit of the bin just found */
	__u32 waiting;        /* destination's bin, until those of sources are tried */
	__u32 found;
	/* the list or the steps in hand */
	__u32 bin;
	__u32 unit;
	__u32 count;
	__u32 width;          /* the rule must not be wider */
	__u32 low;            /* the step is here or later, */
	__u32 high;           /* and before this one */
	__u32 hit;
};

/* one entry for each CPU; a search is not interrupted by another */
struct shunt_search_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct search);
};
MAP(shunt_search);

/* For the callbacks of loops. */
struct search_ctx {
	void *store;
	struct search *s;
};

#define BINS_MAX (129 * 131)
#define LIST_MAX 65536
#define STEPS_LOG 18

static __always_inline void *unit_at(void *store, __u32 i)
{
	return bpf_map_lookup_elem(store, &i);
}

/* The value of the slot with the hash, 0 if there is none. */
static __always_inline __u32 probe(void *store, __u32 first, __u32 mask, __u64 hash)
{
	__u32 tag = tag_of(hash);
	struct shunt_unit *u;
	int i, j;

	for (i = 0; i < SHUNT_CHAIN; i++) {
		u = unit_at(store, first + ((__u32)(hash + i) & mask));
		if (!u)
			return 0;
#pragma unroll
		for (j = 0; j < 8; j++) {
			__u64 slot = *(volatile __u64 *)&u->word[j];

			if (slot >> 32 == tag)
				return slot;
			if (!slot)
				return 0;
		}
	}
	return 0;
}

/* Which prefixes covering p does the filter know? Bit i: of length i + 1. */
static __always_inline __u32 covering(__u32 bitmap, __u32 nibble)
{
	return (bitmap >> (nibble >> 3) & 1) | (bitmap >> (2 + (nibble >> 2)) & 1) << 1 |
	       (bitmap >> (6 + (nibble >> 1)) & 1) << 2 | (bitmap >> (14 + nibble) & 1) << 3;
}

static __always_inline __u32 filter_entry(void *store, const struct search *s, __u32 context,
					  __u32 level, struct bits p)
{
	return probe(store, s->filter, s->filter_mask,
		     filter_hash(s->seed, context, level, p));
}

/* Adds the lengths of eight levels. IPv6 has more of them if a prefix in hand
 * is marked; IPv4 has only eight. */
static long lengths_step(__u32 i, void *data)
{
	struct search_ctx *h = data;
	struct search *s = h->s;
	bool dst = s->context < SHUNT_TABLES;
	struct bits *lens = dst ? &s->lens : &s->src_lens;
	struct bits p = dst ? s->dst : s->src;
	__u32 j, level = 8 * i;

	if (level > 31 || !(s->levels >> level))
		return 1;
	if (i && !(filter_entry(h->store, s, s->context, level, p) & FILTER_HAS_LONGER))
		return 1;
	s->known = 0;
	for (j = 0; j < 8; j++)
		if (s->levels >> (level + j) & 1)
			s->known |= covering(filter_entry(h->store, s, s->context, level + j, p),
					     nibble_of(p, level + j)) << (4 * j);
	if (i < 2)
		lens->hi |= (__u64)s->known << (32 * i);
	else
		lens->lo |= (__u64)s->known << (32 * (i & 1));
	return 0;
}

/* Finds the lengths of the prefixes in the context that cover the address:
 * destinations are in a table, sources below the bin of a destination. */
static __always_inline void find_lengths(struct search_ctx *h, __u32 context, __u32 levels)
{
	struct search *s = h->s;

	s->context = context;
	s->levels = levels;
	bpf_loop(4, lengths_step, h, 0);
}

/* Of a number that is not 0; without branches, for the verifier's sake. */
static __always_inline __u32 highest_bit(__u64 n)
{
	n |= n >> 1;
	n |= n >> 2;
	n |= n >> 4;
	n |= n >> 8;
	n |= n >> 16;
	n |= n >> 32;
	n -= n >> 1 & 0x5555555555555555ULL;
	n = (n & 0x3333333333333333ULL) + (n >> 2 & 0x3333333333333333ULL);
	n = (n + (n >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (n * 0x0101010101010101ULL >> 56) - 1;
}

/* Takes the longest length out of *lens; 0 if there is none. */
static __always_inline __u32 next_length(struct bits *lens)
{
	__u32 i;

	if (lens->lo) {
		i = highest_bit(lens->lo);
		lens->lo &= ~(1ULL << (i & 63));
		return 65 + i;
	}
	if (!lens->hi)
		return 0;
	i = highest_bit(lens->hi);
	lens->hi &= ~(1ULL << (i & 63));
	return 1 + i;
}

static __always_inline const struct shunt_node *find_bin(void *store, struct search *s,
							__u32 context, __u32 len, __u32 ifindex,
							const struct bits *of)
{
	struct bits p = first_bits(*of, len);
	const struct shunt_node *bin;
	__u32 value;

	value = probe(store, s->index, s->index_mask,
		      node_hash(s->seed, context, len, ifindex, p));
	if ((value & SLOT_KIND_MASK) != SLOT_NODE)
		return NULL;
	s->at = value & ~SLOT_KIND_MASK;
	bin = unit_at(store, s->at);
	if (!bin || bin->parent != context || bin->len != len || bin->ifindex != ifindex ||
	    bin->hi != p.hi || bin->lo != p.lo)
		return NULL;
	return bin;
}

/* The first unit of a rule: up to its to. */
static __always_inline const struct shunt_rule *rule_at(void *store, __u32 i)
{
	return unit_at(store, i);
}

static __always_inline bool ports_match(const struct shunt_rule *r, const struct search *s)
{
	return s->dport >= r->dport_low && s->dport <= r->dport_high &&
	       s->sport >= r->sport_low && s->sport <= r->sport_high;
}

static long list_step(__u32 i, void *data)
{
	struct search_ctx *h = data;
	struct search *s = h->s;
	const struct shunt_rule *rule;
	struct shunt_rule_list *list;
	__u32 at = i + 1;

	if (i >= s->count)
		return 1;
	list = unit_at(h->store, s->unit + at / 16);
	if (!list)
		return 1;
	at = ((__u32 *)list)[at & 15];
	rule = rule_at(h->store, at);
	if (!rule || rule->node != s->bin ||
	    (__u32)rule->dport_high - rule->dport_low > s->width)
		return 1;
	if (!ports_match(rule, s))
		return 0;
	s->hit = at;
	return 1;
}

/* Sets hit to the first rule of a list that matches. */
static __always_inline void search_list(struct search_ctx *h, __u32 unit, __u32 width)
{
	struct shunt_rule_list *list = unit_at(h->store, unit);

	h->s->hit = 0;
	if (!list)
		return;
	h->s->unit = unit;
	h->s->count = list->count;
	h->s->width = width;
	bpf_loop(LIST_MAX, list_step, h, 0);
}

/* Sets hit to the rule for a single port. */
static __always_inline void search_cell(struct search_ctx *h, const struct shunt_node *bin)
{
	struct search *s = h->s;
	__u32 value = probe(h->store, s->index, s->index_mask,
			    port_hash(s->seed, bin->port_index_id, s->dport));
	const struct shunt_rule *rule;

	s->hit = 0;
	if ((value & SLOT_KIND_MASK) == SLOT_LIST)
		return search_list(h, value & ~SLOT_KIND_MASK, 0);
	if ((value & SLOT_KIND_MASK) != SLOT_RULE)
		return;
	rule = rule_at(h->store, value & ~SLOT_KIND_MASK);
	if (rule && rule->node == s->bin && ports_match(rule, s))
		s->hit = value & ~SLOT_KIND_MASK;
}

/* The i-th of an array of 64-bit words. */
static __always_inline const void *word_at(void *store, __u32 unit, __u32 i)
{
	struct shunt_unit *u = unit_at(store, unit + i / 8);

	return u ? &u->word[i & 7] : NULL;
}

static long step_step(__u32 i, void *data)
{
	struct search_ctx *h = data;
	struct search *s = h->s;
	__u32 middle = (s->low + s->high) / 2;
	const struct shunt_port_step *step;

	(void)i;
	if (s->low + 1 >= s->high)
		return 1;
	step = word_at(h->store, s->unit, middle);
	if (!step)
		return 1;
	if (step->port <= s->dport)
		s->low = middle;
	else
		s->high = middle;
	return 0;
}

/* Sets hit to the narrowest range that holds the port. */
static __always_inline void search_ranges(struct search_ctx *h, __u32 unit)
{
	const struct shunt_port_table *ranges = unit_at(h->store, unit);
	const struct shunt_port_hint *lane;
	const struct shunt_port_step *step;
	struct search *s = h->s;
	__u32 i;

	s->hit = 0;
	if (!ranges)
		return;
	i = s->dport >> (ranges->shift & 31);
	lane = word_at(h->store, ranges->first_hint, i);
	if (!lane)
		return;
	s->unit = unit + 1;
	s->low = lane->low;
	s->high = lane->high;
	bpf_loop(STEPS_LOG, step_step, h, 0);
	step = word_at(h->store, s->unit, s->low);
	if (step)
		s->hit = step->rule;
}

static __attribute__((noinline)) int search_large_bin(struct search_ctx *h, const struct shunt_node *bin)
{
	struct search *s = h->s;
	const struct shunt_rule *rule;
	__u32 found, width = 65535;

	s->bin = bin->id;
	search_cell(h, bin);
	if (s->hit)
		return s->hit;
	if (bin->ranges)
		search_ranges(h, bin->ranges);
	found = s->hit;
	if (!bin->port_pair_rules)
		return found;
	if (found) {
		rule = rule_at(h->store, found);
		if (rule)
			width = rule->dport_high - rule->dport_low;
	}
	search_list(h, bin->port_pair_rules, width);
	return s->hit ? s->hit : found;
}

static __always_inline __u32 rule_in_bin(struct search_ctx *h, const struct shunt_node *bin)
{
	const struct shunt_rule *rule;
	int i;

	if (bin->port_index_id)
		return search_large_bin(h, bin);
	for (i = 0; i < SHUNT_INLINE_RULES; i++) {
		if (!bin->inline_rules[i].rule)
			return 0;
		if (h->s->dport < bin->inline_rules[i].low || h->s->dport > bin->inline_rules[i].high)
			continue;
		rule = rule_at(h->store, bin->inline_rules[i].rule);
		if (rule && ports_match(rule, h->s))
			return bin->inline_rules[i].rule;
	}
	return 0;
}

/* Of two rules for any interface and for the packet's. */
static __always_inline __u32 narrower(void *store, __u32 any, __u32 bound)
{
	const struct shunt_rule *a, *b;
	__u32 wide_a, wide_b;

	if (!any || !bound)
		return any ? any : bound;
	a = rule_at(store, any);
	b = rule_at(store, bound);
	if (!a || !b)
		return bound;
	wide_a = (__u32)(a->dport_high - a->dport_low) << 16 | (__u16)(a->sport_high - a->sport_low);
	wide_b = (__u32)(b->dport_high - b->dport_low) << 16 | (__u16)(b->sport_high - b->sport_low);
	return wide_a < wide_b ? any : bound;
}

/* The rule of one destination and one source prefix; bin is of the latter. */
static __always_inline __u32 rule_of_pair(struct search_ctx *h, const struct shunt_node *bin, __u32 len)
{
	struct search *s = h->s;
	__u32 found = 0;

	if (bin && s->ifindex != SHUNT_LOCAL_IFINDEX)
		found = rule_in_bin(h, bin);
	if (!s->iface_below)
		return found;
	bin = find_bin(h->store, s, s->id, len, s->iface_below, &s->src);
	return narrower(h->store, found, bin ? rule_in_bin(h, bin) : 0);
}

/* Looks into the bin that is to be tried next. */
static long search_step(__u32 i, void *data)
{
	struct search_ctx *h = data;
	struct search *s = h->s;
	const struct shunt_node *bin;
	__u32 len = 0;

	(void)i;
	if (s->src_lens.hi | s->src_lens.lo) {
		len = next_length(&s->src_lens);
		bin = find_bin(h->store, s, s->id, len, 0, &s->src);
	} else if (s->waiting) {
		bin = unit_at(h->store, s->waiting);
		s->waiting = 0;
	} else {
		len = next_length(&s->lens);
		if (!len && !s->any)
			return 1;
		if (!len)
			s->any = 0;
		bin = find_bin(h->store, s, s->table, len, 0, &s->dst);
		if (!bin)
			return 0;
		s->id = bin->id;
		s->iface_below = bin->has_iface_nodes ? s->ifindex : 0;
		s->src_levels = bin->src_levels;
		if (s->src_levels) {
			s->waiting = s->at;
			find_lengths(h, s->id, s->src_levels);
			return 0;
		}
		len = 0;
	}
	s->found = rule_of_pair(h, bin, len);
	return s->found != 0;
}

struct verdict {
	__u32 rule;       /* unit, 0: no rule matches */
	__u32 counters;
	__u8 action;
	__u8 own;         /* enum shunt_own */
	__u16 to_port;
	__u8 to[16];
	__u32 unknown;    /* enum shunt_unknown */
};

/* Where the filter would take longer than trying them. */
static __always_inline void all_lengths(struct search_ctx *h)
{
	const struct shunt_lengths *lengths = unit_at(h->store, 1);
	struct search *s = h->s;

	if (!lengths)
		return;
	s->lens.hi = lengths->by_table[s->table & (SHUNT_TABLES - 1)].hi;
	s->lens.lo = lengths->by_table[s->table & (SHUNT_TABLES - 1)].lo;
}

static __always_inline void search(struct search_ctx *h, const struct packet *pkt)
{
	const struct shunt_store_header *head = unit_at(h->store, 0);
	__u32 table = table_of(pkt->family, pkt->proto);
	struct search *s = h->s;

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
	s->any = head->has_len0[table];
	s->lens.hi = s->lens.lo = 0;
	s->levels = head->try_all_lengths[table] ? 0 : head->levels[table];
	if (s->levels)
		find_lengths(h, table, s->levels);
	else
		all_lengths(h);
	if (s->any || s->lens.hi || s->lens.lo)
		bpf_loop(BINS_MAX, search_step, h, 0);
}

/* What is for many hosts, this one's own members of the group among them, is
 * only taken by rules that mean it: for that address, or for multicast. */
static __always_inline bool is_meant(const struct search *s, const struct shunt_rule *rule)
{
	bool v4 = s->family == AF_INET;
	bool multicast = v4 ? s->dst.hi >> 60 == 0xe : s->dst.hi >> 56 == 0xff;

	if (!s->group && !multicast && !(v4 && s->dst.hi >> 32 == 0xffffffff))
		return true;
	return rule->dst_len == (v4 ? 32 : 128) || (multicast && rule->dst_len >= (v4 ? 4 : 8));
}

/* Finds the rule for pkt, all of which is set, and returns its unit, 0 if
 * there is none. Not static: so it is verified once, not for each caller. */
__weak __attribute__((noinline)) int shunt_find(const struct packet *pkt, struct verdict *ret)
{
	const struct shunt_rule *rule;
	__u32 zero = 0;
	struct search_ctx h;

	if (!pkt || !ret)
		return 0;
	h.store = bpf_map_lookup_elem(&shunt_rules, &zero);
	if (!h.store)
		return 0;
	h.s = bpf_map_lookup_elem(&shunt_search, &zero);
	if (!h.s)
		return 0;
	search(&h, pkt);
	ret->rule = h.s->found;
	if (!ret->rule)
		return 0;
	rule = rule_at(h.store, ret->rule);
	if (!rule || !is_meant(h.s, rule))
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
