/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps that hold the rules, and what a search keeps in memory. All of a search uses
 * one inner map of shunt_rules, because the loader may replace that map meanwhile.
 */
#ifndef SHUNT_RULE_MAPS_H
#define SHUNT_RULE_MAPS_H

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

/* One entry: the rules, as units. */
struct shunt_rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct shunt_store_map);
};
MAP(shunt_rules);

struct shunt_shard_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shunt_rule_counters));
};

/* One entry: the counters of all rules. */
struct shunt_rule_counters_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct shunt_shard_map);
};
MAP(shunt_rule_counters);

/* The state of a search. It is in a map, not on the stack: the stack has no room for it,
 * and the verifier need not follow the values that the fields may have. */
struct search {
	struct bits src;
	struct bits dst;
	struct bits lens;     /* lengths of destination prefixes that are still to be tried: */
	struct bits src_lens; /* bit i stands for length i + 1 */
	__u64 seed;
	__u32 filter;
	__u32 filter_mask;
	__u32 index;
	__u32 index_mask;
	__u32 ifindex;
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 try_len0; /* length 0 is still to be tried */
	__u8 group;    /* the link layer sends the packet to many hosts */
	__u8 pad;
	__u32 table;
	__u32 id;          /* of the destination's node */
	__u32 iface_below; /* ifindex if the node has nodes for single interfaces, else 0 */
	__u32 src_levels;
	__u32 parent;    /* table or node whose prefix lengths find_lengths() collects, */
	__u32 levels;    /* the levels that have prefixes there, */
	__u32 known;     /* and the lengths in eight of these levels */
	__u32 node_unit; /* unit of the node that find_node() found last */
	__u32 waiting;   /* unit of the destination's node, until its source prefixes are tried */
	__u32 found;
	/* For the list of rules, or the port steps, that are searched now. */
	__u32 node; /* id */
	__u32 unit;
	__u32 count;
	__u32 max_width; /* a match has no more ports than this + 1 */
	__u32 low;       /* the port step is this one or a later one, */
	__u32 high;      /* and comes before this one */
	__u32 match;
};

/* One entry for each CPU: a search is not interrupted by another search. */
struct shunt_search_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct search);
};
MAP(shunt_search);

/* What the callbacks of bpf_loop() get. */
struct search_ctx {
	void *store;
	struct search *s;
};

static __always_inline void *unit_at(void *store, __u32 i)
{
	return bpf_map_lookup_elem(store, &i);
}

/* The first unit of a rule. It reaches up to the address in 'to'. */
static __always_inline const struct shunt_rule *rule_at(void *store, __u32 i)
{
	return unit_at(store, i);
}

/* The i-th of an array of 64-bit words that begins at the unit. */
static __always_inline const void *word_at(void *store, __u32 unit, __u32 i)
{
	struct shunt_unit *u = unit_at(store, unit + i / 8);

	return u ? &u->word[i & 7] : NULL;
}

/* The value of the slot with this hash, 0 if there is none. */
static __always_inline __u32 find_slot(void *store, __u32 first, __u32 mask, __u64 hash)
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

#endif
