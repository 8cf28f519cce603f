// SPDX-License-Identifier: GPL-2.0-only
#include "rules/node_rules.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <shunt/rule_hash.h>
#include "rules/store_journal.h"
#include "util/array.h"
#include "util/cleanup.h"

__u32 inline_count(const struct shunt_node *node)
{
	__u32 i = 0;

	while (i < SHUNT_INLINE_RULES && node->inline_rules[i].rule)
		i++;
	return i;
}

int port_slot_find(struct store *s, __u32 port_index_id, __u32 node_id, __u16 port,
		   struct index_ref *ret)
{
	struct index_ref ref = index_find(s, port_hash(s->header->seed, port_index_id, port));
	__u32 count, unit = ref.value & ~SLOT_KIND_MASK;
	const struct shunt_rule *r;

	if (!ref.value && ref.free_slot == NO_SLOT)
		return -EAGAIN;
	if (ref.value) {
		if ((ref.value & SLOT_KIND_MASK) == SLOT_NODE)
			return -EAGAIN;
		if ((ref.value & SLOT_KIND_MASK) == SLOT_LIST)
			unit = *list_read(s, unit, &count);
		r = rule_in(s, unit);
		if (r->node != node_id || r->dport_low != port)
			return -EAGAIN;
	}
	*ret = ref;
	return 0;
}

/* Writes what the slot of a port leads to. Returns the slot's value; 0 if the store is full. */
static __u32 port_slot_value(struct store *s, const struct rule_set *set)
{
	__u32 unit;

	if (set->count == 1)
		return SLOT_RULE | set->rule[0];
	unit = list_write(s, set->rule, set->count);
	return unit ? SLOT_LIST | unit : 0;
}

static int port_slots_write(struct store *s, const struct shunt_node *node, const __u32 *rule,
			    __u32 count)
{
	struct rule_set set;
	struct index_ref ref;
	__u32 i, n, port, value;
	int error;

	/* The rules are sorted by port: take the rules of one port at a time. */
	for (i = 0; i < count; i += set.count) {
		port = rule_in(s, rule[i])->dport_low;
		for (n = 1; i + n < count && rule_in(s, rule[i + n])->dport_low == port; n++)
			;
		set = (struct rule_set){ (__u32 *)rule + i, n };
		error = port_slot_find(s, node->port_index_id, node->id, port, &ref);
		if (error)
			return error;
		value = port_slot_value(s, &set);
		if (!value)
			return -EAGAIN;
		slot_set(s, SLOTS_INDEX, ref.slot == NO_SLOT ? ref.free_slot : ref.slot, ref.hash,
			 value);
	}
	return 0;
}

static struct store *sorting; /* qsort() passes nothing else to by_port() */

/* Sorts rules for single ports by port, then by precedence. */
static int by_port(const void *a, const void *b)
{
	const struct shunt_rule *r = rule_in(sorting, *(const __u32 *)a);
	const struct shunt_rule *q = rule_in(sorting, *(const __u32 *)b);

	return r->dport_low - q->dport_low ?: rule_compare(r, q);
}

int node_fill(struct store *s, struct shunt_node *copy, __u32 unit, const __u32 *rule, __u32 count)
{
	_cleanup_free_ __u32 *single = NULL, *range = NULL, *port_pairs = NULL;
	__u32 i, singles = 0, ranges = 0, pairs = 0;
	const struct shunt_rule *r;

	if (count <= SHUNT_INLINE_RULES) {
		for (i = 0; i < count; i++)
			copy->inline_rules[i] = range_of(s, rule[i]);
		return 0;
	}
	single = malloc(count * sizeof(*single));
	range = malloc(count * sizeof(*range));
	port_pairs = malloc(count * sizeof(*port_pairs));
	if (!single || !range || !port_pairs)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		r = rule_in(s, rule[i]);
		if (has_single_dport(r))
			single[singles++] = rule[i];
		else if (has_port_pair(r))
			port_pairs[pairs++] = rule[i];
		else
			range[ranges++] = rule[i];
	}
	/* The unit was never used before, so a killed command has left no slots of this id. */
	copy->port_index_id = unit;
	sorting = s;
	sort_array(single, singles, sizeof(*single), by_port);
	copy->port_table = port_table_write(s, range, ranges);
	copy->port_pair_rules = list_write(s, port_pairs, pairs);
	if ((ranges && !copy->port_table) || (pairs && !copy->port_pair_rules))
		return -EAGAIN;
	return port_slots_write(s, copy, single, singles);
}

static int change_inline(struct store *s, struct shunt_node *node, struct index_ref *ref, __u32 add,
			 __u32 del, const struct journal_entry *e)
{
	__u32 i, unit, now[SHUNT_INLINE_RULES], rule[SHUNT_INLINE_RULES + 1];
	struct rule_set set = { .rule = rule };
	struct shunt_node *copy = node_copy_empty(s, node, ref, &unit);
	int error;

	if (!copy)
		return -EAGAIN;
	for (i = 0; i < inline_count(node); i++)
		now[i] = node->inline_rules[i].rule;
	rule_set_change(s, now, i, add, del, &set);
	error = node_fill(s, copy, unit, set.rule, set.count);
	if (error)
		return error;
	journal_publish(s, ref->value ? ref->slot : ref->free_slot, ref->hash, SLOT_NODE | unit, e);
	return 0;
}

static int change_port_slot(struct store *s, const struct shunt_node *node, __u16 port, __u32 add,
			    __u32 del, const struct journal_entry *e)
{
	_cleanup_free_ __u32 *rule = NULL;
	__u32 one, value = 0, count = 0;
	const __u32 *now = &one;
	struct rule_set set;
	struct index_ref ref;
	int error = port_slot_find(s, node->port_index_id, node->id, port, &ref);

	if (error)
		return error;
	one = ref.value & ~SLOT_KIND_MASK;
	if ((ref.value & SLOT_KIND_MASK) == SLOT_LIST)
		now = list_read(s, one, &count);
	else
		count = !!ref.value;
	set.rule = rule = malloc((count + 1) * sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	rule_set_change(s, now, count, add, del, &set);
	if (set.count) {
		value = port_slot_value(s, &set);
		if (!value)
			return -EAGAIN;
	}
	journal_publish(s, ref.value ? ref.slot : ref.free_slot, ref.hash, value, e);
	return 0;
}

static int change_ranges(struct store *s, struct shunt_node *node, struct index_ref *ref,
			 bool port_pairs, __u32 add, __u32 del, const struct journal_entry *e)
{
	_cleanup_free_ __u32 *now = NULL, *rule = NULL;
	const struct shunt_range *range;
	struct shunt_node *copy;
	struct rule_set set;
	const __u32 *list;
	__u32 i, unit, count, *to;

	list = list_read(s, node->port_pair_rules, &count);
	range = port_pairs ? NULL : port_table_ranges(s, node->port_table, &count);
	now = malloc((count + 1) * sizeof(*now));
	set.rule = rule = malloc((count + 1) * sizeof(*rule));
	if (!now || !rule)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		now[i] = port_pairs ? list[i] : range[i].rule;
	rule_set_change(s, now, count, add, del, &set);
	copy = node_copy_empty(s, node, ref, &unit);
	if (!copy)
		return -EAGAIN;
	copy->port_table = node->port_table;
	copy->port_pair_rules = node->port_pair_rules;
	to = port_pairs ? &copy->port_pair_rules : &copy->port_table;
	*to = port_pairs ? list_write(s, set.rule, set.count)
			 : port_table_write(s, set.rule, set.count);
	if (set.count && !*to)
		return -EAGAIN;
	journal_publish(s, ref->slot, ref->hash, SLOT_NODE | unit, e);
	return 0;
}

int node_change(struct store *s, struct shunt_node *node, struct index_ref *ref, __u32 add,
		__u32 del, const struct journal_entry *e)
{
	const struct shunt_rule *r = rule_in(s, add ? add : del);

	if (!node->port_index_id)
		return change_inline(s, node, ref, add, del, e);
	if (has_single_dport(r))
		return change_port_slot(s, node, r->dport_low, add, del, e);
	return change_ranges(s, node, ref, has_port_pair(r), add, del, e);
}
