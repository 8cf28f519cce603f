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

/* Sets *ret to the rules, in no order; the array is the caller's to free. 0 or
 * -errno, said. */
int store_rules(struct store *s, struct rule_list *ret);

/* For sort_array() of pointers: the rules of a node together. */
int rule_cmp_by_node(const void *a, const void *b);

/* Writes rules in that order, which have counters below top, to a new store
 * that nobody sees. 0 or -errno; -EAGAIN and -ENOMEM are unsaid, the former
 * may be tried again. */
int store_build(const struct shunt_rule *const *all, __u32 count, __u32 top, struct store *ret);

#endif
