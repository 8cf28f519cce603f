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

/* Writes rules, which are in that order and have counters below top, to a new store that no program
 * uses yet. Returns -EAGAIN and -ENOMEM without a message; other errors are reported. After
 * -EAGAIN the caller may try again, with another seed. */
int store_build(const struct shunt_rule *const *all, __u32 count, __u32 top, struct store *ret);

#endif
