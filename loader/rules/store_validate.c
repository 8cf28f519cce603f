// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a store in the way that a search would, but from the other end: each slot of the
 * index leads to a node or to the rules of a port, and a search for those has to come to
 * that slot. What a killed command left is no fault: slots of the filter that name prefixes
 * without a node, and slots of ports that no node leads to.
 */
#include "rules/store_validate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <shunt/rule_hash.h>
#include "rules/counters.h"
#include "rules/prefix_nodes.h"
#include "util/log.h"

/* For each unit, what was found there. */
struct check {
	struct store *s;
	__u32 first;     /* no data is before this unit */
	__u32 top;       /* or from this one on */
	__u8 *claimed;   /* some object has the unit */
	__u32 *node;     /* by id of a node: its unit; 0: there is none */
	__u8 *tally;     /* by counters: 1 some rule's, 2 free */
	__u32 rules;
};

static int wrong(const char *what, __u32 unit)
{
	return deny(-EIO, "rule store: unit %u: %s", unit, what);
}

static bool is_inside(const struct check *c, __u32 unit, __u32 count)
{
	return unit >= c->first && unit < c->top && count <= c->top - unit;
}

/* Notes that an object has these units; no other one may. */
static int claim(struct check *c, __u32 unit, __u32 count)
{
	__u32 i;

	if (!is_inside(c, unit, count))
		return wrong("something leads outside of the units in use", unit);
	for (i = unit; i < unit + count; i++) {
		if (c->claimed[i])
			return wrong("two objects have it", i);
		c->claimed[i] = 1;
	}
	return 0;
}

static bool is_dst(const struct shunt_bin *node)
{
	return node->context < SHUNT_TABLES;
}

static struct bits bits_at(const __u8 addr[16])
{
	__u8 copy[16] __attribute__((aligned(8)));

	memcpy(copy, addr, sizeof(copy));
	return bits_of(copy);
}

static bool same_bits(struct bits p, const struct shunt_bin *node)
{
	return p.hi == node->hi && p.lo == node->lo;
}

/* --- rules ------------------------------------------------------------------------ */

/* A rule that moves to another interface index shares its counters for a moment, and for
 * good if the command was killed then. */
static int check_counters(struct check *c, const struct shunt_rule *r, __u32 unit)
{
	if (r->tally >= c->s->book->tally_top)
		return wrong("a rule has counters that were never given away", unit);
	if (c->tally[r->tally] && !*r->ifname)
		return wrong("a rule has the counters of another one", unit);
	c->tally[r->tally] = 1;
	return 0;
}

static const struct shunt_bin *parent_of(struct check *c, const struct shunt_bin *node)
{
	__u32 unit = is_dst(node) || node->context >= c->top ? 0 : c->node[node->context];

	return unit ? store_at(c->s, unit, 1) : NULL;
}

static bool belongs(const struct shunt_rule *r, const struct shunt_bin *node,
		    const struct shunt_bin *dst)
{
	if (!dst || r->bin != node->id || dst->context != table_of(r->family, r->proto) ||
	    r->dst_len != dst->len || !same_bits(bits_at(r->dst), dst))
		return false;
	if (node == dst)
		return !has_src_bin(r);
	return has_src_bin(r) && r->src_len == node->len && r->ifindex == node->ifindex &&
	       same_bits(bits_at(r->src), node);
}

static int check_rule(struct check *c, __u32 unit, const struct shunt_bin *node)
{
	const struct shunt_bin *dst = is_dst(node) ? node : parent_of(c, node);
	const struct shunt_rule *r;
	int error = claim(c, unit, 2);

	if (error)
		return error;
	r = rule_in(c->s, unit);
	if (!belongs(r, node, dst))
		return wrong("a rule is at a node of other packets", unit);
	if (*r->ifname && !scope_is_known(c->s, r))
		return wrong("the interface of a rule is not listed", unit);
	c->rules++;
	return check_counters(c, r, unit);
}

/* count rules in order of precedence. */
static int check_rules(struct check *c, const __u32 *rule, __u32 count,
		       const struct shunt_bin *node)
{
	__u32 i;
	int error;

	for (i = 0; i < count; i++) {
		error = check_rule(c, rule[i], node);
		if (error)
			return error;
		if (i && rule_compare(rule_in(c->s, rule[i - 1]), rule_in(c->s, rule[i])) >= 0)
			return wrong("a rule is not in order of precedence", rule[i]);
	}
	return 0;
}

static bool list_is_inside(struct check *c, __u32 unit)
{
	const struct shunt_list *list = is_inside(c, unit, 1) ? store_at(c->s, unit, 1) : NULL;

	return list && list->count && list->count < 16 * c->top &&
	       is_inside(c, unit, units_for(list->count + 1, 16));
}

static int check_list(struct check *c, __u32 unit, const struct shunt_bin *node,
		      const __u32 **ret, __u32 *ret_count)
{
	int error = list_is_inside(c, unit) ? 0 : wrong("no list of rules", unit);

	if (error)
		return error;
	*ret = list_read(c->s, unit, ret_count);
	error = claim(c, unit, units_for(*ret_count + 1, 16));
	return error ? error : check_rules(c, *ret, *ret_count, node);
}

static int check_range(struct check *c, const struct shunt_range *range,
		       const struct shunt_range *before, const struct shunt_bin *node)
{
	const struct shunt_rule *r;
	int error = check_rule(c, range->rule, node);

	if (error)
		return error;
	r = rule_in(c->s, range->rule);
	if (r->dport_low != range->low || r->dport_high != range->high)
		return wrong("a range of ports differs from its rule's", range->rule);
	if (before && rule_compare(rule_in(c->s, before->rule), r) >= 0)
		return wrong("a range of ports is not in order of precedence", range->rule);
	return 0;
}

static int check_ranges(struct check *c, const struct shunt_bin *node)
{
	const struct shunt_ranges *ranges;
	const struct shunt_range *range;
	__u32 i, count;
	int error;

	if (!is_inside(c, node->ranges, 1))
		return wrong("no table of port ranges", node->ranges);
	ranges = store_at(c->s, node->ranges, 1);
	if (ranges->ranges > 8 * c->top || ranges->steps > 8 * c->top || ranges->shift > 16)
		return wrong("no table of port ranges", node->ranges);
	error = claim(c, node->ranges, ranges_units(c->s, node->ranges));
	if (error)
		return error;
	if (!ranges_are_compiled(c->s, node->ranges))
		return wrong("a table of port ranges differs from its rules", node->ranges);
	range = ranges_read(c->s, node->ranges, &count);
	for (i = 0; i < count && !error; i++) {
		error = check_range(c, &range[i], i ? &range[i - 1] : NULL, node);
		if (!error && (is_single(rule_in(c->s, range[i].rule)) ||
			       is_loose(rule_in(c->s, range[i].rule))))
			error = wrong("a rule is in the wrong table of its node", range[i].rule);
	}
	return error;
}

static int check_loose(struct check *c, const struct shunt_bin *node)
{
	const __u32 *rule;
	__u32 i, count;
	int error = check_list(c, node->loose, node, &rule, &count);

	for (i = 0; i < count && !error; i++)
		if (!is_loose(rule_in(c->s, rule[i])))
			error = wrong("a rule is in the wrong table of its node", rule[i]);
	return error;
}

static int check_small(struct check *c, const struct shunt_bin *node, __u32 unit)
{
	__u32 i, count = small_count(node);
	int error = 0;

	for (i = count; i < SHUNT_SMALL; i++)
		if (node->small[i].rule || node->small[i].low || node->small[i].high)
			return wrong("a node has rules behind its last one", unit);
	for (i = 0; i < count && !error; i++)
		error = check_range(c, &node->small[i], i ? &node->small[i - 1] : NULL, node);
	return error;
}

/* --- nodes -------------------------------------------------------------------------- */

static __u32 filter_value(struct store *s, __u32 context, __u32 level, struct bits p)
{
	__u32 room, slot = slot_find(s, SLOTS_FILTER, filter_hash(s->head->seed, context, level, p),
				     &room);

	return slot == NO_SLOT ? 0 : slot_get(s, SLOTS_FILTER, slot);
}

/* Whether a search gets to know the prefix of the node. */
static bool in_filter(struct store *s, const struct shunt_bin *node, bool v6, __u32 levels)
{
	const struct bits p = { node->hi, node->lo };
	__u32 mark, level;

	if (!node->len)
		return true;
	level = level_of(node->len);
	if (!(levels >> level & 1) ||
	    !(filter_value(s, node->context, level, p) & filter_bit(p, node->len)))
		return false;
	for (mark = 8; v6 && mark <= level; mark += 8)
		if (!(filter_value(s, node->context, mark, p) & MARK))
			return false;
	return true;
}

static bool has_length(const struct store *s, const struct shunt_bin *node)
{
	const __u64 hi = s->lengths->of[node->context].hi, lo = s->lengths->of[node->context].lo;

	if (!node->len)
		return s->head->any[node->context];
	return node->len > 64 ? lo >> (node->len - 65) & 1 : hi >> (node->len - 1) & 1;
}

static int check_prefix(struct check *c, const struct shunt_bin *node, __u32 unit)
{
	const struct shunt_bin *dst = is_dst(node) ? node : parent_of(c, node);
	const struct bits p = { node->hi, node->lo };
	bool v6;

	if (!dst)
		return wrong("a node of sources has no node of a destination", unit);
	v6 = dst->context >= 2;
	if (node->len > (v6 ? 128 : 32) || !same_bits(first_bits(p, node->len), node))
		return wrong("a node has no valid prefix", unit);
	if (!in_filter(c->s, node, v6, node == dst ? c->s->head->levels[node->context] :
						     dst->src_levels))
		return wrong("the prefix of a node is not in the filter", unit);
	if (node == dst && !has_length(c->s, node))
		return wrong("the prefix length of a node is not listed", unit);
	if (node != dst && node->ifindex && !dst->bound)
		return wrong("a node does not tell of its interfaces", unit);
	return 0;
}

static int check_node(struct check *c, __u32 slot, __u32 unit)
{
	const struct shunt_bin *node = store_at(c->s, unit, 1);
	const struct bits p = { node->hi, node->lo };
	int error = claim(c, unit, 1);

	if (error)
		return error;
	if (place_of(c->s, bin_hash(c->s->head->seed, node->context, node->len, node->ifindex, p)).slot !=
	    slot)
		return wrong("no search comes to the node", unit);
	error = check_prefix(c, node, unit);
	if (!error && !node->cells)
		return check_small(c, node, unit);
	if (!error && node->ranges)
		error = check_ranges(c, node);
	if (!error && node->loose)
		error = check_loose(c, node);
	return error;
}

/* --- slots --------------------------------------------------------------------------- */

/* The node that has the rules of a single port in a slot; NULL if no search comes to it. */
static const struct shunt_bin *port_owner(struct check *c, __u32 slot, const struct shunt_rule *r)
{
	const struct shunt_bin *node;
	__u32 unit = r->bin < c->top ? c->node[r->bin] : 0;

	node = unit ? store_at(c->s, unit, 1) : NULL;
	if (!node || !node->cells)
		return NULL;
	return place_of(c->s, cell_hash(c->s->head->seed, node->cells, r->dport_low)).slot == slot ?
	       node : NULL;
}

static int check_port(struct check *c, __u32 slot, __u32 value)
{
	const __u32 unit = value & ~SHUNT_KIND, *rule = &unit;
	const struct shunt_bin *node;
	__u32 i, port, count = 1;
	int error;

	if ((value & SHUNT_KIND) == SHUNT_LIST && !list_is_inside(c, unit))
		return wrong("no list of rules", unit);
	if ((value & SHUNT_KIND) == SHUNT_LIST)
		rule = list_read(c->s, unit, &count);
	if (!is_inside(c, rule[0], 2))
		return wrong("a slot of the index leads outside of the units in use", unit);
	node = port_owner(c, slot, rule_in(c->s, rule[0]));
	if (!node)
		return 0; /* what a killed command left */
	port = rule_in(c->s, rule[0])->dport_low;
	if ((value & SHUNT_KIND) == SHUNT_LIST)
		error = check_list(c, unit, node, &rule, &count);
	else
		error = check_rules(c, rule, 1, node);
	for (i = 0; i < count && !error; i++)
		if (!is_single(rule_in(c->s, rule[i])) || rule_in(c->s, rule[i])->dport_low != port)
			error = wrong("a rule is in the list of another port", rule[i]);
	return error;
}

static int check_used(struct store *s, enum slots table, __u32 used, const char *name)
{
	__u32 i, count = 0;

	for (i = 0; i < slots_count(s, table); i++)
		count += !!slot_get(s, table, i);
	return count == used ? 0 : deny(-EIO, "rule store: %u slots of the %s are taken, not %u",
					count, name, used);
}

static bool is_node(__u32 value)
{
	return (value & SHUNT_KIND) == SHUNT_BIN;
}

/* First where all nodes are. */
static int list_nodes(struct check *c)
{
	const struct shunt_bin *node;
	__u32 i, value, unit;

	for (i = 0; i < slots_count(c->s, SLOTS_INDEX); i++) {
		value = slot_get(c->s, SLOTS_INDEX, i);
		unit = value & ~SHUNT_KIND;
		if (!is_node(value))
			continue;
		if (!is_inside(c, unit, 1))
			return wrong("a slot of the index leads outside of the units in use", unit);
		node = store_at(c->s, unit, 1);
		if (!is_inside(c, node->id, 1) || c->node[node->id])
			return wrong("a node has no name of its own", unit);
		c->node[node->id] = unit;
	}
	return 0;
}

static int check_index(struct check *c)
{
	__u32 i, value;
	int error = list_nodes(c);

	for (i = 0; i < slots_count(c->s, SLOTS_INDEX) && !error; i++) {
		value = slot_get(c->s, SLOTS_INDEX, i);
		if (is_node(value))
			error = check_node(c, i, value & ~SHUNT_KIND);
		else if (value)
			error = check_port(c, i, value);
	}
	if (!error && c->rules != c->s->book->rules)
		error = deny(-EIO, "rule store: %u rules are found, not %u", c->rules,
			     c->s->book->rules);
	return error;
}

static int check_free_counters(struct check *c)
{
	__u32 i, tally;

	for (i = 0; i < c->s->book->free_count; i++) {
		tally = *free_tally(c->s, i);
		if (tally >= c->s->book->tally_top || c->tally[tally])
			return deny(-EIO, "rule store: counters %u are free and are not", tally);
		c->tally[tally] = 2;
	}
	return 0;
}

static int check_book(const struct store *s, __u32 first)
{
	const struct shunt_book *b = s->book;
	const struct shunt_head *h = s->head;

	if (h->filter != SHUNT_FIXED || h->index != h->filter + h->filter_mask + 1 ||
	    h->filter_mask & (h->filter_mask + 1) || h->index_mask & (h->index_mask + 1))
		return deny(-EIO, "rule store: its head is not in order");
	if (b->top < first || b->top > b->units ||
	    (size_t)b->units * SHUNT_UNIT > s->region.size || b->free_count > b->free_room ||
	    b->free_room > 16 * b->units || b->tally_top > b->free_room + b->units || b->change_slot)
		return deny(-EIO, "rule store: its book is not in order");
	return 0;
}

static int check_all(struct check *c)
{
	const struct shunt_book *b = c->s->book;
	int error = check_used(c->s, SLOTS_FILTER, b->filter_used, "filter");

	if (!error)
		error = check_used(c->s, SLOTS_INDEX, b->index_used, "index");
	if (!error && b->free_room)
		error = claim(c, b->free_at, b->free_room / 16);
	if (!error && c->s->head->scope_count)
		error = claim(c, c->s->head->scopes, units_for(c->s->head->scope_count, 2));
	if (!error)
		error = check_index(c);
	return error ? error : check_free_counters(c);
}

int store_validate(struct store *s)
{
	struct check c = { .s = s, .first = s->head->index + s->head->index_mask + 1,
			   .top = s->book->top };
	int error = check_book(s, c.first);

	if (error)
		return error;
	c.claimed = calloc(s->book->units + 1, 1);
	c.node = calloc(s->book->units + 1, sizeof(*c.node));
	c.tally = calloc(s->book->tally_top + 1, 1);
	error = c.claimed && c.node && c.tally ? check_all(&c) : fail(-ENOMEM, "the rules");
	free(c.claimed);
	free(c.node);
	free(c.tally);
	return error;
}
