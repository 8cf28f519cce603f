/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bins of a store (loader/abi.h), and the one store that puts a change in
 * force. Calls that return -EAGAIN, unsaid, want another store: this one has
 * no room, or two of its hashes are too much alike. They change nothing then.
 */
#ifndef SHUNT_PREFIX_NODES_H
#define SHUNT_PREFIX_NODES_H

#include <stdbool.h>

#include "rules/port_ranges.h"

/* A place in the index. */
struct place {
	__u64 hash;
	__u32 slot;       /* NO_SLOT: not there */
	__u32 room;       /* a slot to be taken for it */
	__u32 value;
};

/* Where a rule is. */
struct found {
	struct shunt_bin *bin;
	struct place place; /* of the bin */
	__u32 rule;         /* unit */
};

/* What a change does besides: it is noted, so that it can be made good. */
struct outcome {
	int rules;        /* more or less */
	bool frees;
	__u32 tally;
};

struct place place_of(struct store *s, __u64 hash);

/* Finishes a change that a killed command had begun. */
void change_repair(struct store *s);

/* Do the rules of r's destination, source and interface have a bin of their
 * own? Else they are in the destination's. */
bool has_src_bin(const struct shunt_rule *r);

/* The bin for a rule like r, made if need be: then it is not yet in the index,
 * and the place has no value. */
int rule_bin(struct store *s, const struct shunt_rule *r, struct place *ret_place,
	     struct shunt_bin **ret);

/* Adds a rule to the bin (add), takes one away (del), or puts one in the place
 * of another that has the same match; 0 stands for none. */
int bin_change(struct store *s, struct shunt_bin *bin, struct place *p, __u32 add, __u32 del,
	       const struct outcome *o);

/* A copy of the bin without its rules, to be filled and entered; the bin
 * itself if nothing leads to it yet. NULL if there is no room. */
struct shunt_bin *bin_copy(struct store *s, struct shunt_bin *bin, const struct place *p,
			   __u32 *ret_unit);

/* Gives such a copy, which is at unit, its rules: in order of precedence. */
int bin_fill(struct store *s, struct shunt_bin *copy, __u32 unit, const __u32 *rule,
	     __u32 count);

/* How many rules a bin without cells has. */
__u32 small_count(const struct shunt_bin *bin);

/* What is at a port of a bin with cells. */
int cell_find(struct store *s, __u32 cells, __u32 bin_id, __u16 port, struct place *ret);

/* An interface that rules name, or named. */
struct shunt_scope *scope_at(struct store *s, __u32 i);

bool scope_is_known(struct store *s, const struct shunt_rule *r);

/* Notes the interface of a rule. */
int scope_known(struct store *s, const struct shunt_rule *r);

/* Finds the rule with the same match; with an ifindex, only if it has that. */
bool find_bound(struct store *s, const struct shunt_rule *match, __u32 ifindex,
		struct found *ret);

#endif
