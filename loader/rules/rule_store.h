/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules in force, in the pinned maps that tc/rules.h searches. A packet sees the rules
 * before or after a call that changes them, never between, wherever the command is killed (I9).
 * The caller holds the lock on the pin directory, except when it calls rules_lock(). Functions
 * that return int report errors and return -errno, unless stated otherwise.
 */
#ifndef SHUNT_RULE_STORE_H
#define SHUNT_RULE_STORE_H

#include <stdbool.h>

#include "rules/rule.h"
#include "rules/store_validate.h"

/* Takes the lock, checks that steering is loaded and opens the rules. Returns the fd that holds the
 * lock. */
int rules_lock(void);

/* Opens the rules and finishes the change of a killed command. The time of this and of the calls
 * below does not grow with the number of rules, except when a call has to write a larger store,
 * and for those that read or write all rules. */
int rules_open(void);

/* Closes the rules. A command that ends does not need to. */
void rules_close(void);

/* The number of rules. */
__u32 rules_count(void);

/* Checks the store: see store_validate(). */
int rules_validate(char ret_fault[STORE_FAULT]);

/* Adds a rule. A rule with the same match is replaced, and its counters go on. *ret_new is true if
 * there was none. */
int rules_add(const struct shunt_rule *r, bool *ret_new);

/* Removes the rule with the same match and the rules that it shadows. Returns -ENOENT without a
 * message if there is none. */
int rules_del(const struct shunt_rule *match);

/* Makes these rules the only ones in force, in one step. No two of them may have the same match.
 * Counters of rules that stay go on. */
int rules_replace(const struct shunt_rule *const *all, __u32 count);

/* Moves rules to the present index of their interface, where an interface was deleted and made
 * again. */
int rules_rebind(void);

/* Removes the shadowed rules, then all others in one step. */
int rules_flush(void);

/* The rule with the same match, NULL if there is none. */
const struct shunt_rule *rules_find(const struct shunt_rule *match);

/* The rule at a unit, which is what a program returns; NULL for unit 0. */
const struct shunt_rule *rules_at(__u32 unit);

/* Adds up the counters of a rule in force. */
void rules_counts(const struct shunt_rule *r, struct rule_counts *ret);

/* Lists all rules in the order of rule_order(). The caller frees the array. The rules that it
 * points to are valid until rules are changed. */
int rules_sorted(const struct shunt_rule ***ret, __u32 *ret_count);

#endif
