/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT rules as entries of a hash table. All rules of one protocol and destination prefix
 * are compiled together: each port belongs to the rule with the narrowest range, and runs
 * of ports are cut into aligned blocks, for each of which the hash has an entry. The
 * targets of the rules are compiled in the same way, from a mirror of each rule that has
 * the target as its destination. No map is touched here.
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
	struct nat_entry *at;
	size_t count;
	size_t room;
	bool targets;			    /* entries that are added now are of mirrors */
	const struct shunt_nat_rule *rules; /* the first one has number 0 */
};

void nat_entries_free(struct nat_entries *e);

#define _cleanup_entries_ _cleanup_(nat_entries_free)

/* 0 or -ENOMEM. */
int nat_entries_add(struct nat_entries *e, const struct nat_entry *entry);

/* By key, for sorting and searching. */
int nat_entries_compare(const void *a, const void *b);

/* The rules of from[count] that are used, the more special ones first. The caller frees
 * *ret. Reports errors and returns -errno. */
int nat_rules_sorted(const struct shunt_nat_rule *from, unsigned int count,
		     const struct shunt_nat_rule ***ret, unsigned int *ret_count);

/*
 * The entries of rules[count] that have the prefix of r, and of the targets that share the
 * prefix of r's target or of was's (which may be NULL); of all rules if r is NULL. Sorted by
 * key. Reports errors and returns -errno; the caller frees *ret in any case.
 */
int nat_compile(const struct shunt_nat_rule *rules, unsigned int count,
		const struct shunt_nat_rule *r, const struct shunt_nat_rule *was,
		struct nat_entries *ret);

#endif
