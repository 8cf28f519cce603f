// SPDX-License-Identifier: GPL-2.0-only
#include "rules/prefix_nodes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "rules/store_journal.h"

static struct bits aligned_bits(const __u8 addr[16])
{
	__u8 copy[16] __attribute__((aligned(8)));

	memcpy(copy, addr, sizeof(copy));
	return bits_of(copy);
}

static unsigned int ones(__u64 n)
{
	return __builtin_popcountll(n);
}

/* Adds the prefix length to those of the table. If a search tried all lengths, each length would
 * take a probe; with the filter, each level and each prefix that is found take one. So the
 * table gets try_all_lengths if that is not slower. */
static void register_length(struct store *s, __u32 table, __u32 len)
{
	__u64 *hi = &s->lengths->by_table[table].hi, *lo = &s->lengths->by_table[table].lo;

	if (len > 64)
		__atomic_store_n(lo, *lo | 1ULL << (len - 65), __ATOMIC_RELEASE);
	else if (len)
		__atomic_store_n(hi, *hi | 1ULL << (len - 1), __ATOMIC_RELEASE);
	else
		s->header->has_len0[table] = 1;
	s->header->try_all_lengths[table] = ones(*hi) + ones(*lo) <=
					    ones(s->header->levels[table]) + 1;
}

struct node_key dst_key(const struct shunt_rule *r)
{
	return (struct node_key){
		.parent = table_of(r->family, r->proto),
		.len = r->dst_len,
		.prefix = aligned_bits(r->dst),
	};
}

struct node_key src_key(const struct shunt_rule *r, __u32 id, __u32 ifindex)
{
	return (struct node_key){
		.parent = id,
		.len = r->src_len,
		.ifindex = ifindex,
		.prefix = aligned_bits(r->src),
	};
}

bool has_src_node(const struct shunt_rule *r)
{
	return r->src_len || *r->ifname;
}

static __u64 hash_of(struct store *s, const struct node_key *k)
{
	return node_hash(s->header->seed, k->parent, k->len, k->ifindex, k->prefix);
}

struct index_ref index_find(struct store *s, __u64 hash)
{
	struct index_ref ref = { .hash = hash };

	ref.slot = slot_find(s, SLOTS_INDEX, hash, &ref.free_slot);
	if (ref.slot != NO_SLOT)
		ref.value = slot_get(s, SLOTS_INDEX, ref.slot);
	if (ref.slot != NO_SLOT && !ref.value)
		ref.free_slot = ref.slot;
	return ref;
}

int node_find(struct store *s, const struct node_key *k, struct index_ref *ret_ref,
	      struct shunt_node **ret)
{
	struct shunt_node *node = NULL;
	struct index_ref ref = index_find(s, hash_of(s, k));

	if (ref.value) {
		if ((ref.value & SLOT_KIND_MASK) != SLOT_NODE)
			return -EAGAIN;
		node = store_at(s, ref.value & ~SLOT_KIND_MASK, 1);
		if (node->parent != k->parent || node->len != k->len ||
		    node->ifindex != k->ifindex || node->hi != k->prefix.hi ||
		    node->lo != k->prefix.lo)
			return -EAGAIN;
	} else if (ref.free_slot == NO_SLOT) {
		return -EAGAIN;
	}
	*ret_ref = ref;
	*ret = node;
	return 0;
}

static int filter_set(struct store *s, __u32 parent, __u32 level, struct bits p, __u32 bits)
{
	__u64 hash = filter_hash(s->header->seed, parent, level, p);
	__u32 free_slot, slot = slot_find(s, SLOTS_FILTER, hash, &free_slot);

	if (slot != NO_SLOT) {
		bits |= slot_get(s, SLOTS_FILTER, slot);
	} else if (free_slot != NO_SLOT) {
		slot = free_slot;
	} else {
		return -EAGAIN;
	}
	slot_set(s, SLOTS_FILTER, slot, hash, bits);
	return 0;
}

/* Enters the prefix into the filter, so that searches try its length. *levels is the bitmap of the
 * parent. */
static int register_prefix(struct store *s, const struct node_key *k, bool v6, __u32 *levels)
{
	__u32 above, level;
	int error;

	if (!k->len)
		return 0;
	level = level_of(k->len);
	error = filter_set(s, k->parent, level, k->prefix, filter_bit(k->prefix, k->len));
	if (error)
		return error;
	for (above = 8; v6 && above <= level; above += 8) {
		error = filter_set(s, k->parent, above, k->prefix, FILTER_HAS_LONGER);
		if (error)
			return error;
	}
	__atomic_store_n(levels, *levels | 1U << level, __ATOMIC_RELEASE);
	return 0;
}

static struct shunt_node *node_new(struct store *s, const struct node_key *k)
{
	__u32 unit = store_alloc(s, 1);
	struct shunt_node *node;

	if (!unit)
		return NULL;
	node = store_at(s, unit, 1);
	*node = (struct shunt_node){
		.id = unit,
		.parent = k->parent,
		.hi = k->prefix.hi,
		.lo = k->prefix.lo,
		.len = k->len,
		.ifindex = k->ifindex,
	};
	return node;
}

/* Finds the node of r's destination, or makes one that is not yet in the index. */
static int dst_node(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
		    struct shunt_node **ret)
{
	struct node_key k = dst_key(r);
	int error = node_find(s, &k, ret_ref, ret);

	if (error || *ret)
		return error;
	error = register_prefix(s, &k, r->family == AF_INET6, &s->header->levels[k.parent]);
	if (error)
		return error;
	register_length(s, k.parent, k.len);
	*ret = node_new(s, &k);
	return *ret ? 0 : -EAGAIN;
}

int node_for_rule(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
		  struct shunt_node **ret)
{
	static const struct journal_entry no_rule;
	struct shunt_node *dst, *node;
	struct node_key k;
	int error = dst_node(s, r, ret_ref, &dst);

	if (error)
		return error;
	if (!has_src_node(r)) {
		*ret = dst;
		return 0;
	}
	if (!ret_ref->value)
		journal_publish(s, ret_ref->free_slot, ret_ref->hash, SLOT_NODE | dst->id,
				&no_rule);
	k = src_key(r, dst->id, r->ifindex);
	error = node_find(s, &k, ret_ref, &node);
	if (error)
		return error;
	if (!node) {
		error = register_prefix(s, &k, r->family == AF_INET6, &dst->src_levels);
		if (error)
			return error;
		node = node_new(s, &k);
		if (!node)
			return -EAGAIN;
	}
	if (k.ifindex)
		__atomic_store_n(&dst->has_iface_nodes, 1, __ATOMIC_RELEASE);
	*ret = node;
	return 0;
}

struct shunt_node *node_copy_empty(struct store *s, struct shunt_node *node,
				   const struct index_ref *ref, __u32 *ret_unit)
{
	struct shunt_node *copy;
	__u32 unit;

	if (!ref->value) {
		*ret_unit = node->id;
		return node;
	}
	unit = store_alloc(s, 1);
	if (!unit)
		return NULL;
	copy = store_at(s, unit, 1);
	*copy = *node;
	memset(copy->inline_rules, 0, sizeof(copy->inline_rules));
	*ret_unit = unit;
	return copy;
}
