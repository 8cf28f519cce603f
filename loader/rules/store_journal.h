/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One write to a slot of the index puts a rule in force or takes it out. All else that a change
 * does, before or after that write, changes nothing for any packet, wherever the command is
 * killed:
 *
 * - A unit that something leads to never changes. A node, a list or a port table is written to
 *   units that were never used, and then its slot is made to lead there.
 * - The filter, and the flags of a destination's node, may name prefixes without a node: a
 *   search finds no node then and goes on. They are set before the node is entered, and
 *   never cleared.
 *
 * The journal keeps the number of rules right, and the list of free counters: a change is written
 * down before its slot is written. (I9)
 */
#ifndef SHUNT_STORE_JOURNAL_H
#define SHUNT_STORE_JOURNAL_H

#include <stdbool.h>

#include "rules/units.h"

/* What changes besides the slot. */
struct journal_entry {
	int rules;           /* added to the number of rules */
	bool frees_counters; /* the change frees the counters with the number below */
	__u32 counters;
};

/* Writes the value to the slot of the index, and what changes with it. */
void journal_publish(struct store *s, __u32 slot, __u64 hash, __u32 value,
		     const struct journal_entry *e);

/* Finishes a change that a killed command had begun, if its slot was written. */
void journal_repair(struct store *s);

#endif
