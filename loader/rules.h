/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules in force, in the pinned maps that tc/rules.h searches. Packets
 * flow meanwhile: a packet sees the rules as they are before or after each
 * call that changes one, never in between. Except for rules_lock() the caller
 * holds the lock on the pin directory.
 */
#ifndef SHUNT_RULES_STORE_H
#define SHUNT_RULES_STORE_H

#include <stdbool.h>

#include "abi.h"

/* Takes the lock, checks that steering is loaded and opens the rules: the fd
 * that holds the lock, or -errno, said. */
int rules_lock(void);

/* Opens the rules and puts in order what a killed command left; 0 or -errno,
 * said. */
int rules_open(void);

/* Adds a rule, or puts it in the place of the one with the same match, whose
 * counters go on; *ret_new tells which. 0 or -errno, said. */
int rules_add(const struct shunt_rule *r, bool *ret_new);

/* Removes the rule with the same match; -ENOENT, unsaid, if there is none. */
int rules_del(const struct shunt_rule *match);

/* Removes all rules, the first to be tried last: no packet meets a rule that
 * it would not have met before. 0 or -errno, said. */
int rules_flush(void);

/* The rule with the same match, NULL if there is none. */
const struct shunt_rule *rules_find(const struct shunt_rule *match);

/* The rule at an index of shunt_rules, NULL if it is not in use. */
const struct shunt_rule *rules_at(__u32 index);

/* All rules, by protocol and in order of precedence. The array is the
 * caller's to free; what it points to lives until a rule is removed or
 * replaced. 0 or -errno, said. */
int rules_sorted(const struct shunt_rule ***ret, __u32 *ret_count);

/* Returns when programs that run now have ended: they may have seen an earlier
 * state. Whoever adds rules that take over from others waits before removing
 * those. 0 or -errno, said. */
int rules_wait(void);

#endif
