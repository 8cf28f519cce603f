// SPDX-License-Identifier: GPL-2.0-only
#include "rules/port_ranges.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/cleanup.h"

#define PORTS 65536U
#define LIST_PER_UNIT 16
#define PER_UNIT 8

bool has_single_dport(const struct shunt_rule *r)
{
	return r->dport_low == r->dport_high;
}

bool has_port_pair(const struct shunt_rule *r)
{
	return !has_single_dport(r) && (r->sport_low || r->sport_high != 65535);
}

void rule_set_change(struct store *s, const __u32 *old, __u32 count, __u32 add, __u32 del,
		     struct rule_set *to)
{
	__u32 i;

	to->count = 0;
	for (i = 0; i < count; i++) {
		if (add && rule_compare(rule_in(s, add), rule_in(s, old[i])) < 0) {
			to->rule[to->count++] = add;
			add = 0;
		}
		if (old[i] != del)
			to->rule[to->count++] = old[i];
	}
	if (add)
		to->rule[to->count++] = add;
}

__u32 list_write(struct store *s, const __u32 *rule, __u32 count)
{
	__u32 unit = count ? store_alloc(s, units_for(count + 1, LIST_PER_UNIT)) : 0;
	__u32 *list;

	if (!unit)
		return 0;
	list = store_at(s, unit, units_for(count + 1, LIST_PER_UNIT));
	list[0] = count;
	memcpy(list + 1, rule, count * sizeof(*rule));
	return unit;
}

const __u32 *list_read(struct store *s, __u32 unit, __u32 *ret_count)
{
	__u32 *list = unit ? store_at(s, unit, 1) : NULL;

	*ret_count = list ? *list : 0;
	if (list)
		list = store_at(s, unit, units_for(*list + 1, LIST_PER_UNIT));
	return list ? list + 1 : NULL;
}

static int by_number(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts ports and removes those that occur again. Returns how many are left. */
static __u32 sort_ports(__u32 *port, __u32 count)
{
	static __u8 there[PORTS + 1];
	__u32 i, left = 0;

	if (count < 1024) {
		sort_array(port, count, sizeof(*port), by_number);
		for (i = 0; i < count; i++)
			if (!left || port[left - 1] != port[i])
				port[left++] = port[i];
		return left;
	}
	memset(there, 0, sizeof(there));
	for (i = 0; i < count; i++)
		there[port[i]] = 1;
	for (i = 0; i <= PORTS; i++)
		if (there[i])
			port[left++] = i;
	return left;
}

static __u32 index_of(const __u32 *port, __u32 count, __u32 wanted)
{
	const __u32 *at = search_array(&wanted, port, count, sizeof(*port), by_number);

	return at - port;
}

/*
 * Makes the steps of ranges, which are sorted by precedence: each range takes the ports that no
 * earlier range has. step has room for two steps for each range, and two more. Returns the
 * number of steps, or 0 without memory.
 *
 * port[] has each port where a range begins or where the ports behind a range begin; owner[i] is
 * the rule for the ports from port[i] up to port[i + 1]. next[i] leads to a later entry; where
 * both i and next[i] have an owner, next[i] skips further, so that a range does not walk
 * again over what earlier ranges have taken.
 */
static __u32 make_steps(const struct shunt_range *range, __u32 count, struct shunt_port_step *step)
{
	_cleanup_free_ __u32 *port = malloc((2 * count + 1) * sizeof(*port));
	_cleanup_free_ __u32 *next = malloc((2 * count + 2) * sizeof(*next));
	_cleanup_free_ __u32 *owner = calloc(2 * count + 2, sizeof(*owner));
	__u32 i, at, after, ports = 0, steps = 0;

	if (!port || !next || !owner)
		return 0;
	port[ports++] = 0;
	for (i = 0; i < count; i++) {
		port[ports++] = range[i].low;
		port[ports++] = range[i].high + 1;
	}
	ports = sort_ports(port, ports);
	for (i = 0; i <= ports; i++)
		next[i] = i + 1;
	for (i = 0; i < count; i++)
		for (at = index_of(port, ports, range[i].low);
		     at < ports && port[at] <= range[i].high; at = after) {
			after = next[at];
			if (!owner[at])
				owner[at] = range[i].rule;
			else if (after < ports && owner[after])
				next[at] = next[after]; /* both have an owner */
		}
	for (i = 0; i < ports && port[i] < PORTS; i++)
		if (!steps || owner[i] != step[steps - 1].rule)
			step[steps++] = (struct shunt_port_step){ port[i], owner[i] };
	return steps;
}

/* About one hint for each step, so that a search has one or two steps to try. */
static __u32 hint_shift(__u32 steps)
{
	__u32 shift = 16;

	while (shift && PORTS >> shift < steps)
		shift--;
	return shift;
}

static void make_hints(const struct shunt_port_step *step, __u32 steps, __u32 shift,
		       struct shunt_port_hint *hint)
{
	__u32 i, at = 0;

	for (i = 0; i < PORTS >> shift; i++) {
		while (at + 1 < steps && step[at + 1].port <= i << shift)
			at++;
		hint[i].low = at;
		while (at + 1 < steps && step[at + 1].port < (i + 1) << shift)
			at++;
		hint[i].high = at + 1;
	}
}

__u32 port_table_write(struct store *s, const __u32 *rule, __u32 count)
{
	_cleanup_free_ struct shunt_range *range = calloc(count + 1, sizeof(*range));
	_cleanup_free_ struct shunt_port_step *step = calloc(2 * count + 2, sizeof(*step));
	__u32 i, unit, steps, shift, step_units, hint_units, range_units;
	struct shunt_port_table *table;

	if (!count || !range || !step)
		return 0;
	for (i = 0; i < count; i++)
		range[i] = range_of(s, rule[i]);
	steps = make_steps(range, count, step);
	if (!steps)
		return 0;
	shift = hint_shift(steps);
	step_units = units_for(steps, PER_UNIT);
	hint_units = units_for(PORTS >> shift, PER_UNIT);
	range_units = units_for(count, PER_UNIT);
	unit = store_alloc(s, 1 + step_units + hint_units + range_units);
	if (!unit)
		return 0;
	table = store_at(s, unit, 1);
	table->steps = steps;
	table->shift = shift;
	table->first_hint = unit + 1 + step_units;
	table->ranges = count;
	table->first_range = table->first_hint + hint_units;
	memcpy(store_at(s, unit + 1, step_units), step, steps * sizeof(*step));
	make_hints(step, steps, shift, store_at(s, table->first_hint, hint_units));
	memcpy(store_at(s, table->first_range, range_units), range, count * sizeof(*range));
	return unit;
}

const struct shunt_range *port_table_ranges(struct store *s, __u32 unit, __u32 *ret_count)
{
	struct shunt_port_table *table = unit ? store_at(s, unit, 1) : NULL;

	*ret_count = table ? table->ranges : 0;
	return table ? store_at(s, table->first_range, units_for(*ret_count, PER_UNIT)) : NULL;
}

__u32 port_table_units(struct store *s, __u32 unit)
{
	const struct shunt_port_table *table = store_at(s, unit, 1);

	return 1 + units_for(table->steps, PER_UNIT) +
	       units_for(PORTS >> (table->shift & 31), PER_UNIT) +
	       units_for(table->ranges, PER_UNIT);
}

bool port_table_is_compiled(struct store *s, __u32 unit)
{
	const struct shunt_port_table *table = store_at(s, unit, 1);
	const __u32 count = table->ranges, hints = PORTS >> (table->shift & 31);
	const __u32 step_units = units_for(table->steps, PER_UNIT);
	const __u32 hint_units = units_for(hints, PER_UNIT);
	_cleanup_free_ struct shunt_port_step *step = calloc(2 * (size_t)count + 2, sizeof(*step));
	_cleanup_free_ struct shunt_port_hint *hint = calloc(hints + 1, sizeof(*hint));
	const struct shunt_range *range;
	__u32 steps, read;

	if (!count || !step || !hint || table->first_hint != unit + 1 + step_units ||
	    table->first_range != table->first_hint + hint_units)
		return false;
	range = port_table_ranges(s, unit, &read);
	steps = range ? make_steps(range, count, step) : 0;
	if (!steps || steps != table->steps || table->shift != hint_shift(steps))
		return false;
	make_hints(step, steps, table->shift, hint);
	return !memcmp(step, store_at(s, unit + 1, step_units), steps * sizeof(*step)) &&
	       !memcmp(hint, store_at(s, table->first_hint, hint_units), hints * sizeof(*hint));
}
