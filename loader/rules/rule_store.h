/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules in force, in the pinned maps that tc/rules.h searches. Packets
 * flow meanwhile: a packet sees the rules as they are before or after each
 * call that changes them, never in between, wherever the command is killed.
 * Except for rules_lock() the caller holds the lock on the pin directory.
 */
#ifndef SHUNT_RULE_STORE_H
#define SHUNT_RULE_STORE_H

#include <stdbool.h>

#include "rules/rule.h"
#include "rules/store_validate.h"

/* Takes the lock, checks that steering is loaded and opens the rules: the fd
 * that holds the lock, or -errno, said. */
int rules_lock(void);

/* Opens the rules and puts in order what a killed command left; 0 or -errno,
 * said. Nothing here or below takes time for rules it is not asked about,
 * except for a call now and then that makes room. */
int rules_open(void);

/* Lets go of them; only a process that stays needs to. */
void rules_close(void);

/* How many there are. */
__u32 rules_count(void);

/* Checks all of them: store_validate(). */
int rules_validate(char ret_fault[STORE_FAULT]);

/* Adds a rule, or puts it in the place of the one with the same match, whose
 * counters go on; *ret_new tells which. 0 or -errno, said. */
int rules_add(const struct shunt_rule *r, bool *ret_new);

/* Removes the rule with the same match, and those that it shadows; -ENOENT, unsaid,
 * if there is none. */
int rules_del(const struct shunt_rule *match);

/* Puts these rules in the place of all that are there, in one step; they must
 * differ in what they match. Counters of those that stay go on. 0 or -errno,
 * said. */
int rules_replace(const struct shunt_rule *const *all, __u32 count);

/* Lets rules for interfaces that were made anew hold for those. 0 or -errno,
 * said. */
int rules_rebind(void);

/* Removes all rules, in one step, and the shadowed ones before. 0 or -errno, said. */
int rules_flush(void);

/* The rule with the same match, NULL if there is none. */
const struct shunt_rule *rules_find(const struct shunt_rule *match);

/* The rule at a unit, as a program names it; NULL if there is none. */
const struct shunt_rule *rules_at(__u32 unit);

/* What a rule that is in force has done. */
void rules_counts(const struct shunt_rule *r, struct rule_counts *ret);

/* All rules, by protocol and in order of precedence. The array is the
 * caller's to free; what it points to lives until rules are changed. 0 or
 * -errno, said. */
int rules_sorted(const struct shunt_rule ***ret, __u32 *ret_count);

#endif
