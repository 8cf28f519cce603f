/* SPDX-License-Identifier: GPL-2.0-only */
/* The rules of a node: up to three in the node itself, more in port slots of the index, a port
 * table and a list. Functions return -EAGAIN as in prefix_nodes.h. */
#ifndef SHUNT_NODE_RULES_H
#define SHUNT_NODE_RULES_H

#include "rules/prefix_nodes.h"
#include "rules/store_journal.h"

/* How many rules are in the node itself, which has no port_index_id. */
__u32 inline_count(const struct shunt_node *node);

/* Finds the slot for the rules of a single port, or where a new slot may go. */
int port_slot_find(struct store *s, __u32 port_index_id, __u32 node_id, __u16 port,
		   struct index_ref *ret);

/* Writes count rules, which are in order of precedence, to a node that node_copy_empty() has made
 * at this unit. Returns -ENOMEM, too. */
int node_fill(struct store *s, struct shunt_node *copy, __u32 unit, const __u32 *rule, __u32 count);

/* Adds the rule at unit add, and removes the rule at unit del; 0 stands for none. If both are
 * given, they have the same match, and add takes the place of del. ref is the node's slot.
 * Writes what the journal entry says in the same step. */
int node_change(struct store *s, struct shunt_node *node, struct index_ref *ref, __u32 add,
		__u32 del, const struct journal_entry *e);

#endif
