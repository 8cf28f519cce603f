/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The NAT rules in force, in the pinned maps. Packets flow during changes: a new flow sees
 * the rules before or after a call, never between. The caller holds the lock on the
 * pin directory.
 */
#ifndef SHUNT_NAT_STORE_H
#define SHUNT_NAT_STORE_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "rules/rule.h"

/* Opens the rules, unless they are open, and completes a change that a killed command began.
 * Reports errors and returns -errno. */
int nat_store_open(void);

/* Adds a rule, or changes the target of the rule with the same match. *ret_old is that rule
 * before the change; its used is 0 if the rule is new. Reports errors and returns -errno. */
int nat_store_add(const struct shunt_nat_rule *r, struct shunt_nat_rule *ret_old);

/* Removes the rule with the same match. Returns -ENOENT without a message if there is none;
 * reports other errors and returns -errno. */
int nat_store_del(const struct shunt_nat_rule *match);

/* Removes all rules. Reports errors and returns -errno. */
int nat_store_flush(void);

/* Replaces all rules by these, no two of which may have the same match. Rules that stay keep
 * their counters. Reports errors and returns -errno; then nothing has changed. */
int nat_store_replace(const struct shunt_nat_rule *all, unsigned int count,
		      struct rule_changes *ret);

/* Finds what nat_store_replace() would change. Returns as that does, and changes nothing. */
int nat_store_compare(const struct shunt_nat_rule *all, unsigned int count,
		      struct rule_changes *ret);

/* Undoes the last nat_store_replace(). */
void nat_store_undo(void);

/* Whether there are no rules. */
bool nat_store_empty(void);

/* Clears the ports that need a search (shunt_nat_ports). There must be no rules and no flows. */
void nat_store_forget(void);

/* Lists all rules in order of precedence. The caller frees the array. Reports errors and
 * returns -errno. */
int nat_store_list(const struct shunt_nat_rule ***ret, unsigned int *ret_count);

#endif
