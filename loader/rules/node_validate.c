// SPDX-License-Identifier: GPL-2.0-only
#include "rules/node_validate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <shunt/rule_hash.h>
#include "rules/node_rules.h"
#include "rules/prefix_nodes.h"
#include "rules/rule_find.h"

int store_fault(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->fault, STORE_FAULT, fmt, args);
	va_end(args);
	return -EIO;
}

int check_wrong(struct check *c, const char *what, __u32 unit)
{
	return store_fault(c, "unit %u: %s", unit, what);
}

bool check_is_inside(const struct check *c, __u32 unit, __u32 count)
{
	return unit >= c->first && unit < c->top && count <= c->top - unit;
}

int check_claim(struct check *c, __u32 unit, __u32 count)
{
	__u32 i;

	if (!check_is_inside(c, unit, count))
		return check_wrong(c, "something leads outside of the units in use", unit);
	for (i = unit; i < unit + count; i++) {
		if (c->claimed[i])
			return check_wrong(c, "two objects have it", i);
		c->claimed[i] = 1;
	}
	return 0;
}

static bool is_dst(const struct shunt_node *node)
{
	return node->parent < SHUNT_TABLES;
}

static struct bits bits_at(const __u8 addr[16])
{
	__u8 copy[16] __attribute__((aligned(8)));

	memcpy(copy, addr, sizeof(copy));
	return bits_of(copy);
}

static bool same_bits(struct bits p, const struct shunt_node *node)
{
	return p.hi == node->hi && p.lo == node->lo;
}

/* --- rules ------------------------------------------------------------------------ */

/* A rule that moves to another index of its interface has its counters twice for a moment, and
 * keeps them twice if the command is killed then. */
static int check_counters(struct check *c, const struct shunt_rule *r, __u32 unit)
{
	if (r->counters >= c->s->journal->counters_top)
		return check_wrong(c, "a rule has counters that were never given away", unit);
	if (c->counters[r->counters] && !*r->ifname)
		return check_wrong(c, "a rule has the counters of another one", unit);
	c->counters[r->counters] = 1;
	return 0;
}

static const struct shunt_node *dst_node_of(struct check *c, const struct shunt_node *node)
{
	__u32 unit = is_dst(node) || node->parent >= c->top ? 0 : c->node[node->parent];

	return unit ? store_at(c->s, unit, 1) : NULL;
}

static bool belongs(const struct shunt_rule *r, const struct shunt_node *node,
		    const struct shunt_node *dst)
{
	if (!dst || r->node != node->id || dst->parent != table_of(r->family, r->proto) ||
	    r->dst_len != dst->len || !same_bits(bits_at(r->dst), dst))
		return false;
	if (node == dst)
		return !has_src_node(r);
	return has_src_node(r) && r->src_len == node->len && r->ifindex == node->ifindex &&
	       same_bits(bits_at(r->src), node);
}

static int check_rule(struct check *c, __u32 unit, const struct shunt_node *node)
{
	const struct shunt_node *dst = is_dst(node) ? node : dst_node_of(c, node);
	const struct shunt_rule *r;
	int error = check_claim(c, unit, 2);

	if (error)
		return error;
	r = rule_in(c->s, unit);
	if (!belongs(r, node, dst))
		return check_wrong(c, "a rule is at a node of other packets", unit);
	if (*r->ifname && !rule_iface_is_registered(c->s, r))
		return check_wrong(c, "the interface of a rule is not listed", unit);
	c->rules++;
	return check_counters(c, r, unit);
}

int check_rules(struct check *c, const __u32 *rule, __u32 count, const struct shunt_node *node)
{
	__u32 i;
	int error;

	for (i = 0; i < count; i++) {
		error = check_rule(c, rule[i], node);
		if (error)
			return error;
		if (i && rule_compare(rule_in(c->s, rule[i - 1]), rule_in(c->s, rule[i])) >= 0)
			return check_wrong(c, "a rule is not in order of precedence", rule[i]);
	}
	return 0;
}

bool check_list_is_inside(struct check *c, __u32 unit)
{
	const struct shunt_rule_list *list = check_is_inside(c, unit, 1) ? store_at(c->s, unit, 1)
									 : NULL;

	return list && list->count && list->count < 16 * c->top &&
	       check_is_inside(c, unit, units_for(list->count + 1, 16));
}

int check_list(struct check *c, __u32 unit, const struct shunt_node *node, const __u32 **ret,
	       __u32 *ret_count)
{
	int error = check_list_is_inside(c, unit) ? 0 : check_wrong(c, "no list of rules", unit);

	if (error)
		return error;
	*ret = list_read(c->s, unit, ret_count);
	error = check_claim(c, unit, units_for(*ret_count + 1, 16));
	return error ? error : check_rules(c, *ret, *ret_count, node);
}

static int check_range(struct check *c, const struct shunt_range *range,
		       const struct shunt_range *before, const struct shunt_node *node)
{
	const struct shunt_rule *r;
	int error = check_rule(c, range->rule, node);

	if (error)
		return error;
	r = rule_in(c->s, range->rule);
	if (r->dport_low != range->low || r->dport_high != range->high)
		return check_wrong(c, "a range of ports differs from its rule's", range->rule);
	if (before && rule_compare(rule_in(c->s, before->rule), r) >= 0)
		return check_wrong(c, "a range of ports is not in order of precedence",
				   range->rule);
	return 0;
}

/* Checks the size of a port table, and that its steps and hints follow from its ranges. */
static int check_port_table(struct check *c, __u32 unit)
{
	const struct shunt_port_table *table;
	int error;

	if (!check_is_inside(c, unit, 1))
		return check_wrong(c, "no table of port ranges", unit);
	table = store_at(c->s, unit, 1);
	if (table->ranges > 8 * c->top || table->steps > 8 * c->top || table->shift > 16)
		return check_wrong(c, "no table of port ranges", unit);
	error = check_claim(c, unit, port_table_units(c->s, unit));
	if (error)
		return error;
	if (!port_table_is_compiled(c->s, unit))
		return check_wrong(c, "a table of port ranges differs from its rules", unit);
	return 0;
}

static int fault_wrong_table(struct check *c, __u32 rule)
{
	return check_wrong(c, "a rule is in the wrong table of its node", rule);
}

static int check_ranges(struct check *c, const struct shunt_node *node)
{
	const struct shunt_range *range;
	const struct shunt_rule *r;
	__u32 i, count;
	int error = check_port_table(c, node->port_table);

	if (error)
		return error;
	range = port_table_ranges(c->s, node->port_table, &count);
	for (i = 0; i < count; i++) {
		error = check_range(c, &range[i], i ? &range[i - 1] : NULL, node);
		if (error)
			return error;
		r = rule_in(c->s, range[i].rule);
		if (has_single_dport(r) || has_port_pair(r))
			return fault_wrong_table(c, range[i].rule);
	}
	return 0;
}

static int check_port_pairs(struct check *c, const struct shunt_node *node)
{
	const __u32 *rule;
	__u32 i, count;
	int error = check_list(c, node->port_pair_rules, node, &rule, &count);

	if (error)
		return error;
	for (i = 0; i < count; i++)
		if (!has_port_pair(rule_in(c->s, rule[i])))
			return fault_wrong_table(c, rule[i]);
	return 0;
}

static int check_inline(struct check *c, const struct shunt_node *node, __u32 unit)
{
	__u32 i, count = inline_count(node);
	int error;

	for (i = count; i < SHUNT_INLINE_RULES; i++)
		if (node->inline_rules[i].rule || node->inline_rules[i].low ||
		    node->inline_rules[i].high)
			return check_wrong(c, "a node has rules behind its last one", unit);
	for (i = 0; i < count; i++) {
		error = check_range(c, &node->inline_rules[i],
				    i ? &node->inline_rules[i - 1] : NULL, node);
		if (error)
			return error;
	}
	return 0;
}

/* --- nodes -------------------------------------------------------------------------- */

static __u32 filter_value(struct store *s, __u32 parent, __u32 level, struct bits p)
{
	__u32 free_slot,
		slot = slot_find(s, SLOTS_FILTER, filter_hash(s->header->seed, parent, level, p),
				 &free_slot);

	return slot == NO_SLOT ? 0 : slot_get(s, SLOTS_FILTER, slot);
}

/* Whether the filter leads a search to the prefix of the node. */
static bool in_filter(struct store *s, const struct shunt_node *node, bool v6, __u32 levels)
{
	const struct bits p = { node->hi, node->lo };
	__u32 above, level;

	if (!node->len)
		return true;
	level = level_of(node->len);
	if (!(levels >> level & 1) ||
	    !(filter_value(s, node->parent, level, p) & filter_bit(p, node->len)))
		return false;
	for (above = 8; v6 && above <= level; above += 8)
		if (!(filter_value(s, node->parent, above, p) & FILTER_HAS_LONGER))
			return false;
	return true;
}

static bool has_length(const struct store *s, const struct shunt_node *node)
{
	const __u64 hi = s->lengths->by_table[node->parent].hi,
		    lo = s->lengths->by_table[node->parent].lo;

	if (!node->len)
		return s->header->has_len0[node->parent];
	return node->len > 64 ? lo >> (node->len - 65) & 1 : hi >> (node->len - 1) & 1;
}

static int check_prefix(struct check *c, const struct shunt_node *node, __u32 unit)
{
	const struct shunt_node *dst = is_dst(node) ? node : dst_node_of(c, node);
	const struct bits p = { node->hi, node->lo };
	bool v6;

	if (!dst)
		return check_wrong(c, "a node of sources has no node of a destination", unit);
	v6 = dst->parent >= 2;
	if (node->len > (v6 ? 128 : 32) || !same_bits(first_bits(p, node->len), node))
		return check_wrong(c, "a node has no valid prefix", unit);
	if (!in_filter(c->s, node, v6,
		       node == dst ? c->s->header->levels[node->parent] : dst->src_levels))
		return check_wrong(c, "the prefix of a node is not in the filter", unit);
	if (node == dst && !has_length(c->s, node))
		return check_wrong(c, "the prefix length of a node is not listed", unit);
	if (node != dst && node->ifindex && !dst->has_iface_nodes)
		return check_wrong(c, "a node does not tell of its interfaces", unit);
	return 0;
}

int check_node(struct check *c, __u32 slot, __u32 unit)
{
	const struct shunt_node *node = store_at(c->s, unit, 1);
	const struct bits p = { node->hi, node->lo };
	int error = check_claim(c, unit, 1);

	if (error)
		return error;
	if (index_find(c->s,
		       node_hash(c->s->header->seed, node->parent, node->len, node->ifindex, p))
		    .slot != slot)
		return check_wrong(c, "no search comes to the node", unit);
	error = check_prefix(c, node, unit);
	if (error)
		return error;
	if (!node->port_index_id)
		return check_inline(c, node, unit);
	error = node->port_table ? check_ranges(c, node) : 0;
	if (error)
		return error;
	return node->port_pair_rules ? check_port_pairs(c, node) : 0;
}
