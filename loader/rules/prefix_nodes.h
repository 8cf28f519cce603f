/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nodes of a store (loader/abi.h), and the one store that puts a change in
 * force. Calls that return -EAGAIN, unsaid, want another store: this one has
 * no room, or two of its hashes are too much alike. They change nothing then.
 */
#ifndef SHUNT_PREFIX_NODES_H
#define SHUNT_PREFIX_NODES_H

#include <stdbool.h>

#include "rules/port_ranges.h"

/* A place in the index. */
struct index_ref {
	__u64 hash;
	__u32 slot;       /* NO_SLOT: not there */
	__u32 room;       /* a slot to be taken for it */
	__u32 value;
};

/* Where a rule is. */
struct rule_ref {
	struct shunt_node *node;
	struct index_ref ref; /* of the node */
	__u32 rule;         /* unit */
};

/* What a change does besides: it is noted, so that it can be made good. */
struct journal_entry {
	int rules;        /* more or less */
	bool frees_counters;
	__u32 counters;
};

struct index_ref index_find(struct store *s, __u64 hash);

/* Finishes a change that a killed command had begun. */
void journal_repair(struct store *s);

/* Do the rules of r's destination, source and interface have a node of their
 * own? Else they are in the destination's. */
bool has_src_node(const struct shunt_rule *r);

/* The node for a rule like r, made if need be: then it is not yet in the index,
 * and the place has no value. */
int node_for_rule(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
	     struct shunt_node **ret);

/* Adds a rule to the node (add), takes one away (del), or puts one in the place
 * of another that has the same match; 0 stands for none. */
int node_change(struct store *s, struct shunt_node *node, struct index_ref *p, __u32 add, __u32 del,
	       const struct journal_entry *o);

/* A copy of the node without its rules, to be filled and entered; the node
 * itself if nothing leads to it yet. NULL if there is no room. */
struct shunt_node *node_copy_empty(struct store *s, struct shunt_node *node, const struct index_ref *p,
			   __u32 *ret_unit);

/* Gives such a copy, which is at unit, its rules: in order of precedence. */
int node_fill(struct store *s, struct shunt_node *copy, __u32 unit, const __u32 *rule,
	     __u32 count);

/* How many rules a node without cells has. */
__u32 inline_count(const struct shunt_node *node);

/* What is at a port of a node with cells. */
int port_slot_find(struct store *s, __u32 cells, __u32 node_id, __u16 port, struct index_ref *ret);

/* An interface that rules name, or named. */
struct shunt_rule_iface *rule_iface_at(struct store *s, __u32 i);

bool rule_iface_is_registered(struct store *s, const struct shunt_rule *r);

/* Notes the interface of a rule. */
int register_rule_iface(struct store *s, const struct shunt_rule *r);

/* Finds the rule with the same match; with an ifindex, only if it has that. */
bool store_find_rule(struct store *s, const struct shunt_rule *match, __u32 ifindex,
		struct rule_ref *ret);

#endif
