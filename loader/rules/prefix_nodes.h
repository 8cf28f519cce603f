/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nodes of a store (include/shunt/rule_store.h): how they are found, made and entered into
 * the filter. Functions that return -EAGAIN without a message need another store: this one
 * is full, or two of its keys have the same tag. They have changed nothing then.
 */
#ifndef SHUNT_PREFIX_NODES_H
#define SHUNT_PREFIX_NODES_H

#include <stdbool.h>

#include <shunt/rule_hash.h>
#include "rules/port_ranges.h"

/* A slot of the index, or where a new one may go. */
struct index_ref {
	__u64 hash;
	__u32 slot;      /* NO_SLOT: the index has no slot of this hash */
	__u32 free_slot; /* where it can be entered; NO_SLOT: nowhere */
	__u32 value;
};

/* What names a node. */
struct node_key {
	__u32 parent; /* as in struct shunt_node */
	__u32 len;
	__u32 ifindex;
	struct bits prefix;
};

struct node_key dst_key(const struct shunt_rule *r);
struct node_key src_key(const struct shunt_rule *r, __u32 id, __u32 ifindex);

struct index_ref index_find(struct store *s, __u64 hash);

/* Finds a node; *ret is NULL if there is none. Returns 0 or -EAGAIN. */
int node_find(struct store *s, const struct node_key *k, struct index_ref *ret_ref,
	      struct shunt_node **ret);

/* Whether rules of r's destination, source and interface have a node of their own. Otherwise
 * they are in the destination's node. */
bool has_src_node(const struct shunt_rule *r);

/* Finds the node for a rule like r, or makes one. A new node is not yet in the index: its
 * *ret_ref has no value. Returns 0 or -EAGAIN. */
int node_for_rule(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
		  struct shunt_node **ret);

/* Copies the node without its rules; the caller fills in rules and enters the copy. A node that
 * is not in the index yet is returned itself. NULL: the store is full. */
struct shunt_node *node_copy_empty(struct store *s, struct shunt_node *node,
				   const struct index_ref *ref, __u32 *ret_unit);

#endif
