/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The NAT rules in force, in the pinned maps. Packets flow meanwhile: a new
 * flow sees the rules as they are before or after a call. The caller holds the
 * lock on the pin directory.
 */
#ifndef SHUNT_NAT_STORE_H
#define SHUNT_NAT_STORE_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "rules/rule.h"

/* Opens the rules, if they are not open, and puts in order what a killed command
 * left; 0 or -errno, said. */
int nat_store_open(void);

/* Adds a rule, or changes what the one with the same match does; *ret_was is
 * what it was, with used 0 if it is new. 0 or -errno, said. */
int nat_store_add(const struct shunt_nat_rule *r, struct shunt_nat_rule *ret_was);

/* Removes the rule with the same match: 0; -ENOENT, unsaid; or -errno, said. */
int nat_store_del(const struct shunt_nat_rule *match);

int nat_store_flush(void);

/* Puts these rules in force and no others; they must differ in what they match.
 * Counters of those that stay go on. 0, or -errno, said, and then nothing has
 * changed. */
int nat_store_replace(const struct shunt_nat_rule *all, unsigned int count, struct rule_changes *ret);

/* Undoes the last nat_store_replace(). */
void nat_store_undo(void);

bool nat_store_empty(void);

/* Without rules and flows: no port matters any more. */
void nat_store_forget(void);

/* All rules, sorted, with the more special ones first; the array is the
 * caller's to free. 0 or -errno, said. */
int nat_store_list(const struct shunt_nat_rule ***ret, unsigned int *ret_count);

#endif
