/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of store_validate() that looks at single nodes and their rules. */
#ifndef SHUNT_NODE_VALIDATE_H
#define SHUNT_NODE_VALIDATE_H

#include <stdbool.h>

#include "rules/port_ranges.h"
#include "rules/store_validate.h"

/* For each unit, what was found there. */
struct check {
	struct store *s;
	__u32 first;     /* no data is before this unit */
	__u32 top;       /* or from this one on */
	__u8 *claimed;   /* some object has the unit */
	__u32 *node;     /* by id of a node: its unit; 0: there is none */
	__u8 *counters;     /* by counters: 1 some rule's, 2 free */
	__u32 rules;
	char *fault;     /* what is not in order */
};

/* Both return -EIO, and set the text of the fault. */
int store_fault(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int check_wrong(struct check *c, const char *what, __u32 unit);

/* Whether these units are in use. */
bool check_is_inside(const struct check *c, __u32 unit, __u32 count);

/* Notes that an object has them; no other one may. */
int check_claim(struct check *c, __u32 unit, __u32 count);

/* count rules of a node, in order of precedence. */
int check_rules(struct check *c, const __u32 *rule, __u32 count, const struct shunt_node *node);

/* A list of them, which *ret points to then. */
bool check_list_is_inside(struct check *c, __u32 unit);
int check_list(struct check *c, __u32 unit, const struct shunt_node *node, const __u32 **ret,
	       __u32 *ret_count);

/* The node that a slot of the index leads to; c->node has all of them. */
int check_node(struct check *c, __u32 slot, __u32 unit);

#endif
