// SPDX-License-Identifier: GPL-2.0-only
#include "rules/rebuild.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <shunt/rule_hash.h>
#include "rules/counters.h"
#include "rules/node_rules.h"
#include "rules/prefix_nodes.h"
#include "rules/rule_find.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

static void collect(struct store *s, struct rule_list *all, const __u32 *rule, __u32 count)
{
	__u32 i;

	for (i = 0; i < count; i++) {
		if (all->count < all->room)
			all->rule[all->count] = rule_in(s, rule[i]);
		all->count++;
	}
}

static void collect_ranges(struct store *s, struct rule_list *all, const struct shunt_range *range,
			   __u32 count)
{
	__u32 i;

	for (i = 0; i < count; i++)
		collect(s, all, &range[i].rule, 1);
}

static void collect_node(struct store *s, struct rule_list *all, const struct shunt_node *node)
{
	const struct shunt_range *range;
	const __u32 *list;
	__u32 count;

	if (!node->port_index_id) {
		collect_ranges(s, all, node->inline_rules, inline_count(node));
		return;
	}
	list = list_read(s, node->port_pair_rules, &count);
	collect(s, all, list, count);
	range = port_table_ranges(s, node->port_table, &count);
	collect_ranges(s, all, range, count);
}

/* Whether a search comes to the slot. A command that was killed while it made a node may have left
 * slots of ports. */
static bool port_slot_is_linked(struct store *s, __u32 slot, const struct shunt_rule *r)
{
	struct rule_ref f;
	struct index_ref ref;

	return store_find_rule(s, r, r->ifindex, &f) && f.node->port_index_id &&
	       !port_slot_find(s, f.node->port_index_id, f.node->id, r->dport_low, &ref) &&
	       ref.slot == slot;
}

static void collect_port_slot(struct store *s, struct rule_list *all, __u32 slot, __u32 value)
{
	__u32 first = value & ~SLOT_KIND_MASK, count = 1;
	const __u32 *list = &first;

	if ((value & SLOT_KIND_MASK) == SLOT_LIST)
		list = list_read(s, first, &count);
	if (port_slot_is_linked(s, slot, rule_in(s, list[0])))
		collect(s, all, list, count);
}

int store_rules(struct store *s, struct rule_list *ret)
{
	__u32 i, value, slots = slots_count(s, SLOTS_INDEX);
	struct rule_list all = { .room = s->journal->rules };

	all.rule = calloc(all.room + 1, sizeof(*all.rule));
	if (!all.rule)
		return fail(-ENOMEM, "the rules");
	for (i = 0; i < slots; i++) {
		value = slot_get(s, SLOTS_INDEX, i);
		if ((value & SLOT_KIND_MASK) == SLOT_NODE)
			collect_node(s, &all, store_at(s, value & ~SLOT_KIND_MASK, 1));
		else if (value)
			collect_port_slot(s, &all, i, value);
	}
	if (all.count != all.room) {
		free(all.rule);
		return deny(-EIO, "the rules in '%s' are not in order: %u instead of %u",
			    opt.pin_dir, all.count, all.room);
	}
	*ret = all;
	return 0;
}

static bool same_node(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->family == b->family && a->proto == b->proto && a->dst_len == b->dst_len &&
	       a->src_len == b->src_len && a->ifindex == b->ifindex &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst)) && !memcmp(a->src, b->src, sizeof(a->src));
}

int rule_cmp_by_node(const void *a, const void *b)
{
	const struct shunt_rule *const *x = a, *const *y = b;
	const struct shunt_rule *r = *x, *q = *y;

	if (r->family != q->family)
		return r->family - q->family;
	if (r->proto != q->proto)
		return r->proto - q->proto;
	if (r->dst_len != q->dst_len)
		return q->dst_len - r->dst_len;
	if (r->src_len != q->src_len)
		return q->src_len - r->src_len;
	if (r->ifindex != q->ifindex)
		return r->ifindex < q->ifindex ? -1 : 1;
	return memcmp(r->dst, q->dst, sizeof(r->dst)) ?:
	       memcmp(r->src, q->src, sizeof(r->src)) ?: rule_compare(r, q);
}

#define SPARE_COUNTERS 1024
#define SPARE_UNITS 8192
#define SPARE_ENTRIES 2048

/* The entries of the filter for a prefix: its own, and those with FILTER_HAS_LONGER. */
static __u32 filter_entries(const struct shunt_rule *r, __u32 len)
{
	return len ? 1 + (r->family == AF_INET6 ? level_of(len) / 8 : 0) : 0;
}

/* Adds room for half as many rules again, or for a quarter if there are many. */
static __u32 and_spare(__u32 n, __u32 count)
{
	return n + n / (count < 65536 ? 2 : 4);
}

static int create_for(const struct shunt_rule *const *all, __u32 count, __u32 counters_top,
		      struct store *ret)
{
	__u32 i, units, nodes = 0, entries = 0;

	for (i = 0; i < count; i++)
		if (!i || !same_node(all[i - 1], all[i])) {
			/* the destination may need a node, too */
			nodes += has_src_node(all[i]) ? 2 : 1;
			entries += filter_entries(all[i], all[i]->dst_len) +
				   filter_entries(all[i], all[i]->src_len);
		}
	/* A rule is two units. For a range of ports, a port table has 8 bytes, two steps and
	 * up to four hints. */
	units = and_spare(2 * count + count + nodes, count) + SPARE_UNITS;
	return store_create(ret, units + units_for(counters_top + SPARE_COUNTERS, 16),
			    and_spare(entries, count) + SPARE_ENTRIES,
			    and_spare(count + nodes, count) + SPARE_ENTRIES);
}

/* Writes rules of a node, and sets unit[] to their units. */
static int build_rules(struct store *s, const struct shunt_rule *const *all, __u32 count,
		       const struct shunt_node *node, __u32 *unit)
{
	struct shunt_rule *to;
	__u32 i;
	int error;

	for (i = 0; i < count; i++) {
		error = register_rule_iface(s, all[i]);
		if (error)
			return error;
		unit[i] = store_alloc(s, 2);
		if (!unit[i])
			return -EAGAIN;
		to = rule_in(s, unit[i]);
		*to = *all[i];
		to->node = node->id;
	}
	return 0;
}

/* Enters the rules of one node, which are the first count of all. */
static int build_node(struct store *s, const struct shunt_rule *const *all, __u32 count)
{
	_cleanup_free_ __u32 *unit = malloc(count * sizeof(*unit));
	struct shunt_node *node, *copy;
	struct index_ref ref;
	__u32 at;
	int error;

	if (!unit)
		return -ENOMEM;
	error = node_for_rule(s, all[0], &ref, &node);
	if (error)
		return error;
	error = build_rules(s, all, count, node, unit);
	if (error)
		return error;
	/* The node of a destination may already be in the index, with flags for its sources: the copy
	 * keeps them. */
	copy = node_copy_empty(s, node, &ref, &at);
	if (!copy)
		return -EAGAIN;
	error = node_fill(s, copy, at, unit, count);
	if (error)
		return error;
	/* Slots of single ports may have taken the slot that was free before. */
	ref = index_find(s, ref.hash);
	if (!ref.value && ref.free_slot == NO_SLOT)
		return -EAGAIN;
	slot_set(s, SLOTS_INDEX, ref.value ? ref.slot : ref.free_slot, ref.hash, SLOT_NODE | at);
	return 0;
}

static int build_nodes(struct store *s, const struct shunt_rule *const *all, __u32 count)
{
	__u32 i, n;
	int error;

	for (i = 0; i < count; i += n) {
		for (n = 1; i + n < count && same_node(all[i], all[i + n]); n++)
			;
		error = build_node(s, all + i, n);
		if (error)
			return error;
	}
	s->journal->rules = count;
	return 0;
}

/* Lists the counters that none of the rules has as free. */
static int build_free(struct store *s, const struct shunt_rule *const *all, __u32 count)
{
	_cleanup_free_ __u8 *taken = calloc(s->journal->counters_top + 1, 1);
	__u32 i, units = units_for(s->journal->counters_top + SPARE_COUNTERS, 16);

	if (!taken)
		return -ENOMEM;
	s->journal->free_counters = store_alloc(s, units);
	if (!s->journal->free_counters)
		return -EAGAIN;
	s->journal->free_room = units * 16;
	for (i = 0; i < count; i++)
		taken[all[i]->counters] = 1;
	for (i = 0; i < s->journal->counters_top; i++)
		if (!taken[i])
			*free_counters_at(s, s->journal->free_count++) = i;
	return 0;
}

static int build_store(struct store *s, const struct shunt_rule *const *all, __u32 count)
{
	int error = build_nodes(s, all, count);

	return error ? error : build_free(s, all, count);
}

int store_build(const struct shunt_rule *const *all, __u32 count, __u32 counters_top,
		struct store *ret)
{
	struct store s;
	int error = create_for(all, count, counters_top, &s);

	if (error)
		return error;
	s.journal->counters_top = counters_top;
	error = build_store(&s, all, count);
	if (error) {
		store_close(&s);
		return error;
	}
	s.journal->must_close = 1;
	*ret = s;
	return 0;
}
