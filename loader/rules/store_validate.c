// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes each slot of the index, and checks that a search for the node or the rules in the slot
 * comes to that slot. What a killed command left is no fault: slots of the filter that name
 * prefixes without a node, and slots of ports that no node leads to.
 */
#include "rules/store_validate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <shunt/rule_hash.h>
#include "rules/counters.h"
#include "rules/node_validate.h"
#include "rules/prefix_nodes.h"

/* The node whose rules for a single port are in the slot; NULL if no search comes to the slot. */
static const struct shunt_node *port_owner(struct check *c, __u32 slot, const struct shunt_rule *r)
{
	const struct shunt_node *node;
	__u32 unit = r->node < c->top ? c->node[r->node] : 0;

	node = unit ? store_at(c->s, unit, 1) : NULL;
	if (!node || !node->port_index_id)
		return NULL;
	return index_find(c->s, port_hash(c->s->header->seed, node->port_index_id, r->dport_low))
				       .slot == slot
		       ? node
		       : NULL;
}

static int check_port(struct check *c, __u32 slot, __u32 value)
{
	const __u32 unit = value & ~SLOT_KIND_MASK, *rule = &unit;
	const struct shunt_node *node;
	__u32 i, port, count = 1;
	int error;

	if ((value & SLOT_KIND_MASK) == SLOT_LIST && !check_list_is_inside(c, unit))
		return check_wrong(c, "no list of rules", unit);
	if ((value & SLOT_KIND_MASK) == SLOT_LIST)
		rule = list_read(c->s, unit, &count);
	if (!check_is_inside(c, rule[0], 2))
		return check_wrong(c, "a slot of the index leads outside of the units in use",
				   unit);
	node = port_owner(c, slot, rule_in(c->s, rule[0]));
	if (!node)
		return 0; /* what a killed command left */
	port = rule_in(c->s, rule[0])->dport_low;
	if ((value & SLOT_KIND_MASK) == SLOT_LIST)
		error = check_list(c, unit, node, &rule, &count);
	else
		error = check_rules(c, rule, 1, node);
	if (error)
		return error;
	for (i = 0; i < count; i++)
		if (!has_single_dport(rule_in(c->s, rule[i])) ||
		    rule_in(c->s, rule[i])->dport_low != port)
			return check_wrong(c, "a rule is in the list of another port", rule[i]);
	return 0;
}

static int check_used(struct check *c, enum slots table, __u32 used, const char *name)
{
	__u32 i, count = 0;

	for (i = 0; i < slots_count(c->s, table); i++)
		count += !!slot_get(c->s, table, i);
	return count == used
		       ? 0
		       : store_fault(c, "%u slots of the %s are taken, not %u", count, name, used);
}

static bool is_node(__u32 value)
{
	return (value & SLOT_KIND_MASK) == SLOT_NODE;
}

/* Fills c->node, because rules are checked against their nodes. */
static int list_nodes(struct check *c)
{
	const struct shunt_node *node;
	__u32 i, value, unit;

	for (i = 0; i < slots_count(c->s, SLOTS_INDEX); i++) {
		value = slot_get(c->s, SLOTS_INDEX, i);
		unit = value & ~SLOT_KIND_MASK;
		if (!is_node(value))
			continue;
		if (!check_is_inside(c, unit, 1))
			return check_wrong(c,
					   "a slot of the index leads outside of the units in use",
					   unit);
		node = store_at(c->s, unit, 1);
		if (!check_is_inside(c, node->id, 1) || c->node[node->id])
			return check_wrong(c, "a node has no name of its own", unit);
		c->node[node->id] = unit;
	}
	return 0;
}

static int check_index(struct check *c)
{
	__u32 i, value;
	int error = list_nodes(c);

	if (error)
		return error;
	for (i = 0; i < slots_count(c->s, SLOTS_INDEX); i++) {
		value = slot_get(c->s, SLOTS_INDEX, i);
		if (!value)
			continue;
		error = is_node(value) ? check_node(c, i, value & ~SLOT_KIND_MASK)
				       : check_port(c, i, value);
		if (error)
			return error;
	}
	if (c->rules != c->s->journal->rules)
		return store_fault(c, "%u rules are found, not %u", c->rules, c->s->journal->rules);
	return 0;
}

static int check_free_counters(struct check *c)
{
	__u32 i, counters;

	for (i = 0; i < c->s->journal->free_count; i++) {
		counters = *free_counters_at(c->s, i);
		if (counters >= c->s->journal->counters_top || c->counters[counters])
			return store_fault(c, "counters %u are free and are not", counters);
		c->counters[counters] = 2;
	}
	return 0;
}

static int check_header(struct check *c)
{
	const struct shunt_store_journal *j = c->s->journal;
	const struct shunt_store_header *h = c->s->header;

	if (h->filter != SHUNT_FIXED || h->index != h->filter + h->filter_mask + 1 ||
	    h->filter_mask & (h->filter_mask + 1) || h->index_mask & (h->index_mask + 1))
		return store_fault(c, "its header is not in order");
	if (j->next_free_unit < c->first || j->next_free_unit > j->units ||
	    (size_t)j->units * SHUNT_UNIT > c->s->array.size || j->free_count > j->free_room ||
	    j->free_room > 16 * j->units || j->counters_top > j->free_room + j->units ||
	    j->change_slot)
		return store_fault(c, "its journal is not in order");
	return 0;
}

static int check_all(struct check *c)
{
	const struct shunt_store_journal *j = c->s->journal;
	const struct shunt_store_header *h = c->s->header;
	int error = check_used(c, SLOTS_FILTER, j->filter_used, "filter");

	if (error)
		return error;
	error = check_used(c, SLOTS_INDEX, j->index_used, "index");
	if (error)
		return error;
	error = j->free_room ? check_claim(c, j->free_counters, j->free_room / 16) : 0;
	if (error)
		return error;
	error = h->iface_count ? check_claim(c, h->ifaces, units_for(h->iface_count, 2)) : 0;
	if (error)
		return error;
	error = check_index(c);
	return error ? error : check_free_counters(c);
}

int store_validate(struct store *s, char ret_fault[STORE_FAULT])
{
	struct check c = { .s = s,
			   .first = s->header->index + s->header->index_mask + 1,
			   .top = s->journal->next_free_unit,
			   .fault = ret_fault };
	int error = check_header(&c);

	if (error)
		return error;
	c.claimed = calloc(s->journal->units + 1, 1);
	c.node = calloc(s->journal->units + 1, sizeof(*c.node));
	c.counters = calloc(s->journal->counters_top + 1, 1);
	error = c.claimed && c.node && c.counters ? check_all(&c) : -ENOMEM;
	free(c.claimed);
	free(c.node);
	free(c.counters);
	return error;
}
