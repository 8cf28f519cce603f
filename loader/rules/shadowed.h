/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadowed rules match the same packets as a newer rule, which is in force. When the newer rule is
 * deleted, the newest of them comes into force again. The caller holds the lock and has opened
 * the rules. Functions that return int report errors and return -errno.
 */
#ifndef SHUNT_SHADOWED_H
#define SHUNT_SHADOWED_H

#include <stdbool.h>

#include <shunt/abi.h>

#include "util/cleanup.h"

/* Reads the shadowed rules for the packets of match; ret->count may be 0. */
int shadows_get(const struct shunt_rule *match, struct shunt_shadows *ret);

/* Makes these the shadowed rules for the packets of match. */
int shadows_put(const struct shunt_rule *match, const struct shunt_shadows *s);

/* Turns a rule into a shadowed rule, and a shadowed rule into one for the packets of match. */
struct shunt_shadow shadow_of(const struct shunt_rule *r);
struct shunt_rule shadow_rule(const struct shunt_rule *match, const struct shunt_shadow *s);

/* Whether there are no shadowed rules at all. */
bool shadows_none(void);

/* Removes all shadowed rules. */
int shadows_clear(void);

/* --- all of them ------------------------------------------------------------------------ */

struct shadow_entry {
	struct shunt_match match;
	struct shunt_shadows shadows;
};

/* All shadowed rules, sorted by match. The caller frees what a function has put into an empty one, also
 * after an error. */
struct shadow_table {
	struct shadow_entry *entry;
	__u32 count;
};

void shadow_table_free(struct shadow_table *t);

#define _cleanup_shadows_ _cleanup_(shadow_table_free)

/* Reads those that are there. */
int shadow_table_read(struct shadow_table *ret);

/* Makes a table of rules that are members of one array, the newest first. Sorts rules[]. Refuses more than
 * SHUNT_SHADOWS for the same packets. */
int shadow_table_make(const struct shunt_rule **rules, __u32 count, struct shadow_table *ret);

/* Makes the table that bridges the time in which the rules in force are replaced: the new one with what it
 * lacks of the old one. For packets that have new shadowed rules, only rules of routers are added, because
 * these are in no file. */
int shadow_table_join(const struct shadow_table *was, const struct shadow_table *new,
		      struct shadow_table *ret);

/* Changes what is there from one table to the other. Each step is for one match. If a step of it has
 * failed, the change from 'to' to 'from' takes back what was done. */
int shadow_table_change(const struct shadow_table *from, const struct shadow_table *to);

#endif
