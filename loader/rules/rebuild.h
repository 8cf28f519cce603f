/* SPDX-License-Identifier: GPL-2.0-only */
/* All rules of a store, and a new store made of rules. */
#ifndef SHUNT_REBUILD_H
#define SHUNT_REBUILD_H

#include "rules/rule.h"
#include "rules/units.h"

struct rule_list {
	const struct shunt_rule **rule;
	__u32 count;
	__u32 room;
};

/* Lists all rules, in no order. The caller frees the array. Reports errors and returns -errno. */
int store_rules(struct store *s, struct rule_list *ret);

/* Compares two pointers to rules for sort_array(): the rules of a node stand together, in order of
 * precedence. */
int rule_cmp_by_node(const void *a, const void *b);

/* Writes rules to a new store that no program uses yet. They are in the order of rule_cmp_by_node()
 * and have counters with numbers below counters_top. Returns -EAGAIN and -ENOMEM without a
 * message, and reports other errors. After -EAGAIN the caller may try again: the next store has
 * another seed. */
int store_build(const struct shunt_rule *const *all, __u32 count, __u32 counters_top,
		struct store *ret);

#endif
