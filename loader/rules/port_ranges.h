/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists of rules and port tables in a store. They are written once, to units that were never used,
 * and never changed. */
#ifndef SHUNT_PORT_RANGES_H
#define SHUNT_PORT_RANGES_H

#include <stdbool.h>

#include "rules/rule.h"
#include "rules/units.h"

/* Rules by their units, in order of precedence. */
struct rule_set {
	__u32 *rule;
	__u32 count;
};

static inline struct shunt_rule *rule_in(struct store *s, __u32 unit)
{
	return store_at(s, unit, 2);
}

static inline struct shunt_range range_of(struct store *s, __u32 unit)
{
	const struct shunt_rule *r = rule_in(s, unit);

	return (struct shunt_range){ r->dport_low, r->dport_high, unit };
}

static inline __u32 units_for(__u32 count, __u32 per_unit)
{
	return (count + per_unit - 1) / per_unit;
}

/* Whether the rule is for a single destination port. */
bool has_single_dport(const struct shunt_rule *r);

/* Whether the rule is for a range of destination ports and for certain source ports. */
bool has_port_pair(const struct shunt_rule *r);

/* Copies the rules of old[count] to *to, without del, and with add where it belongs in the order
 * of precedence; 0 stands for none. to->rule has room for count + 1 rules. */
void rule_set_change(struct store *s, const __u32 *old, __u32 count, __u32 add, __u32 del,
		     struct rule_set *to);

/* Writes a struct shunt_rule_list and returns its unit; 0 if there are no rules, or if the store is
 * full. list_read() returns the rules of a list; with unit 0 there are none. */
__u32 list_write(struct store *s, const __u32 *rule, __u32 count);
const __u32 *list_read(struct store *s, __u32 unit, __u32 *ret_count);

/* The same for a struct shunt_port_table. port_table_write() also returns 0 if there is no memory. */
__u32 port_table_write(struct store *s, const __u32 *rule, __u32 count);
const struct shunt_range *port_table_ranges(struct store *s, __u32 unit, __u32 *ret_count);

/* The number of units of a port table, and whether its steps and hints follow from its ranges. */
__u32 port_table_units(struct store *s, __u32 unit);
bool port_table_is_compiled(struct store *s, __u32 unit);

#endif
