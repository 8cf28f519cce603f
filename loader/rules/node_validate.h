/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of store_validate() that looks at single nodes and their rules. */
#ifndef SHUNT_NODE_VALIDATE_H
#define SHUNT_NODE_VALIDATE_H

#include <stdbool.h>

#include "rules/port_ranges.h"
#include "rules/store_validate.h"

/* What was found so far. */
struct check {
	struct store *s;
	__u32 first;    /* the first unit behind filter and index */
	__u32 top;      /* the first unit that was never used */
	__u8 *claimed;  /* by unit: an object has the unit */
	__u32 *node;    /* by id of a node: its unit; 0: no such node */
	__u8 *counters; /* by number of counters: 1 a rule has them, 2 they are free */
	__u32 rules;
	char *fault; /* text of the fault */
};

/* Set the text of the fault and return -EIO, for the caller to return. check_wrong() names a unit. */
int store_fault(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int check_wrong(struct check *c, const char *what, __u32 unit);

/* Whether these units are among those in use. */
bool check_is_inside(const struct check *c, __u32 unit, __u32 count);

/* Claims the units for an object. It is a fault if another object has one of them. */
int check_claim(struct check *c, __u32 unit, __u32 count);

/* Checks count rules of a node and their order. */
int check_rules(struct check *c, const __u32 *rule, __u32 count, const struct shunt_node *node);

/* Whether a list of rules at this unit is among the units in use. check_list() checks this, claims
 * the list, checks its rules, and sets *ret to them. */
bool check_list_is_inside(struct check *c, __u32 unit);
int check_list(struct check *c, __u32 unit, const struct shunt_node *node, const __u32 **ret,
	       __u32 *ret_count);

/* Checks the node that a slot of the index leads to. c->node is already filled. */
int check_node(struct check *c, __u32 slot, __u32 unit);

#endif
