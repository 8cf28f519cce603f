/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which prefixes with rules cover an address, and the node of such a prefix. The filter
 * tells the lengths of these prefixes; the index leads to their nodes.
 */
#ifndef SHUNT_RULE_PREFIXES_H
#define SHUNT_RULE_PREFIXES_H

#include "rule_maps.h"

/* The lengths, out of one bitmap of the filter, of the prefixes that cover an address with
 * these four bits. Bit i stands for i + 1 bits more than the level has. */
static __always_inline __u32 covering(__u32 bitmap, __u32 nibble)
{
	return (bitmap >> (nibble >> 3) & 1) | (bitmap >> (2 + (nibble >> 2)) & 1) << 1 |
	       (bitmap >> (6 + (nibble >> 1)) & 1) << 2 | (bitmap >> (14 + nibble) & 1) << 3;
}

/* The filter's bitmap for the address at this level; 0 if it has none. */
static __always_inline __u32 filter_entry(void *store, const struct search *s, __u32 parent,
					  __u32 level, struct bits p)
{
	return find_slot(store, s->filter, s->filter_mask, filter_hash(s->seed, parent, level, p));
}

/* Adds the lengths of eight levels. IPv4 has only these eight. IPv6 has more if the entry
 * of the first level says that there are longer prefixes (FILTER_HAS_LONGER). */
static long lengths_cb(__u32 i, void *data)
{
	struct search_ctx *ctx = data;
	struct search *s = ctx->s;
	bool dst = s->parent < SHUNT_TABLES;
	struct bits *lens = dst ? &s->lens : &s->src_lens;
	struct bits p = dst ? s->dst : s->src;
	__u32 j, level = 8 * i;

	if (level > 31 || !(s->levels >> level))
		return 1;
	if (i && !(filter_entry(ctx->store, s, s->parent, level, p) & FILTER_HAS_LONGER))
		return 1;
	s->known = 0;
	for (j = 0; j < 8; j++)
		if (s->levels >> (level + j) & 1)
			s->known |= covering(filter_entry(ctx->store, s, s->parent, level + j, p),
					     nibble_of(p, level + j))
				    << (4 * j);
	if (i < 2)
		lens->hi |= (__u64)s->known << (32 * i);
	else
		lens->lo |= (__u64)s->known << (32 * (i & 1));
	return 0;
}

/* Collects the lengths of the prefixes below 'parent' that cover the address. The parent is
 * a table for destination prefixes, and a destination's node for source prefixes. */
static __always_inline void find_lengths(struct search_ctx *ctx, __u32 parent, __u32 levels)
{
	struct search *s = ctx->s;

	s->parent = parent;
	s->levels = levels;
	bpf_loop(4, lengths_cb, ctx, 0);
}

/* Takes all lengths that the table has. With few lengths this is faster than the filter. */
static __always_inline void try_all_lengths(struct search_ctx *ctx)
{
	const struct shunt_lengths *lengths = unit_at(ctx->store, 1);
	struct search *s = ctx->s;

	if (!lengths)
		return;
	s->lens.hi = lengths->by_table[s->table & (SHUNT_TABLES - 1)].hi;
	s->lens.lo = lengths->by_table[s->table & (SHUNT_TABLES - 1)].lo;
}

/* The number of the highest bit that is set; n is not 0. Without branches, each of which
 * the verifier would follow. */
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

/* Takes the longest length out of *lens and returns it; 0 if *lens is empty. */
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

/* The node of the address's prefix of this length; NULL if there is none. Sets s->node_unit. The
 * node is compared with the key, because two keys may have the same tag. */
static __always_inline const struct shunt_node *find_node(void *store, struct search *s,
							  __u32 parent, __u32 len, __u32 ifindex,
							  const struct bits *addr)
{
	struct bits p = first_bits(*addr, len);
	const struct shunt_node *node;
	__u32 value;

	value = find_slot(store, s->index, s->index_mask,
			  node_hash(s->seed, parent, len, ifindex, p));
	if ((value & SLOT_KIND_MASK) != SLOT_NODE)
		return NULL;
	s->node_unit = value & ~SLOT_KIND_MASK;
	node = unit_at(store, s->node_unit);
	if (!node || node->parent != parent || node->len != len || node->ifindex != ifindex ||
	    node->hi != p.hi || node->lo != p.lo)
		return NULL;
	return node;
}

#endif
