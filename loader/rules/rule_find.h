/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds rules in a store by what they match, and lists the interfaces that rules name. */
#ifndef SHUNT_RULE_FIND_H
#define SHUNT_RULE_FIND_H

#include <stdbool.h>

#include "rules/prefix_nodes.h"

/* Where a rule is. */
struct rule_ref {
	struct shunt_node *node;
	struct index_ref ref; /* of the node */
	__u32 rule;           /* unit */
};

/* Finds the rule with the same match; if ifindex is not 0, only a rule with that ifindex. */
bool store_find_rule(struct store *s, const struct shunt_rule *match, __u32 ifindex,
		     struct rule_ref *ret);

/*
 * A rule has the name of an interface, but its node has the index that the interface had when
 * the rule was made. So the store lists all pairs of name and index that rules have had.
 */
struct shunt_rule_iface *rule_iface_at(struct store *s, __u32 i);

bool rule_iface_is_registered(struct store *s, const struct shunt_rule *r);

/* Adds the interface of the rule to the list. Returns 0 or -EAGAIN. */
int register_rule_iface(struct store *s, const struct shunt_rule *r);

#endif
