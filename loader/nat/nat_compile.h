/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compiles NAT rules into entries of a hash table. All rules of one protocol and destination
 * prefix are compiled together. Each port belongs to the rule with the narrowest range.
 * Adjacent ports of one rule are cut into aligned blocks of 2^n ports; each block becomes an
 * entry. The targets of the rules are compiled in the same way, from mirrors: a mirror is a
 * copy of a rule whose destination is the rule's target. No map is touched here.
 */
#ifndef SHUNT_NAT_COMPILE_H
#define SHUNT_NAT_COMPILE_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>
#include "util/cleanup.h"

#define NAT_PORTS 65536

struct nat_entry {
	struct shunt_nat_match key;
	struct shunt_nat_target target;
};

struct nat_entries {
	struct nat_entry *entry;
	size_t count;
	size_t room;
	bool targets;                       /* the entries that are added are of mirrors */
	const struct shunt_nat_rule *rules; /* the first one has number 0 */
};

void nat_entries_free(struct nat_entries *e);

#define _cleanup_entries_ _cleanup_(nat_entries_free)

/* Returns 0 or -ENOMEM. */
int nat_entries_add(struct nat_entries *e, const struct nat_entry *entry);

/* Compares by key, for sorting and searching. */
int nat_entries_compare(const void *a, const void *b);

/* Lists the rules of from[count] that are in use, in order of precedence. The caller frees
 * *ret. Reports errors and returns -errno. */
int nat_rules_sorted(const struct shunt_nat_rule *from, unsigned int count,
		     const struct shunt_nat_rule ***ret, unsigned int *ret_count);

/*
 * Compiles those of rules[count] that have the prefix of r, and the targets that have the
 * prefix of r's target or of old's target (old may be NULL). Compiles all rules if r is
 * NULL. The entries are sorted by key. Reports errors and returns -errno; the caller frees
 * *ret in any case.
 */
int nat_compile(const struct shunt_nat_rule *rules, unsigned int count,
		const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
		struct nat_entries *ret);

#endif
