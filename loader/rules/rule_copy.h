/* SPDX-License-Identifier: GPL-2.0-only */
/* Copies of rules, to be printed when the lock is released. */
#ifndef SHUNT_RULE_COPY_H
#define SHUNT_RULE_COPY_H

#include "rules/rule.h"

struct rule_copy {
	struct shunt_rule rule;
	struct rule_counts counts;
	bool only_ipv4; /* set by find_listeners() */
};

/* Copies these rules in their order, and behind each rule those that it shadows. The caller
 * frees the array. Reports errors and returns -errno. */
int rules_copy(const struct shunt_rule *const *rules, __u32 count, struct rule_copy **ret,
	       __u32 *ret_count);

#endif
