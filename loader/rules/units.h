/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The units of a rule store (include/shunt/rule_store.h) in the memory of one command. Only
 * the parts of the map that the command touches are mapped. A command that changes units
 * holds the lock on the pin directory.
 */
#ifndef SHUNT_UNITS_H
#define SHUNT_UNITS_H

#include <stdbool.h>

#include "rules/mmap_array.h"

struct store {
	struct mmap_array array;
	struct shunt_store_header *header;
	struct shunt_lengths *lengths;
	struct shunt_store_journal *journal;
};

/* Puts an empty store into the outer map shunt_rules. Reports errors and returns -errno. */
int store_make(int outer);

/* Opens the store that is in force. Returns -errno without a message. */
int store_open(struct store *ret);
void store_close(struct store *s);

/* Makes a store that no program uses yet, with this many units for nodes and rules, and room for
 * this many entries of filter and index. Reports errors and returns -errno. */
int store_create(struct store *ret, __u32 units, __u32 filter_entries, __u32 index_entries);

/* Puts the store in force. When the function returns, no program uses the store that was in force
 * before. Reports errors and returns -errno. */
int store_install(const struct store *s);

/* The memory of count units, which have to be in the store. */
void *store_at(struct store *s, __u32 unit, __u32 count);

/* Returns the first of count units that were never used, which are all zero; 0 if the store has not
 * enough of them. */
__u32 store_alloc(struct store *s, __u32 count);

/* The hash tables of a store. */
enum slots {
	SLOTS_FILTER,
	SLOTS_INDEX,
};

#define NO_SLOT 0xffffffff

/* Returns the slot with the tag of the hash, or NO_SLOT. In that case *ret_free is where a slot for
 * the hash may go; NO_SLOT if the chain is full. */
__u32 slot_find(struct store *s, enum slots table, __u64 hash, __u32 *ret_free);

__u64 slot_get(struct store *s, enum slots table, __u32 slot);

/* Writes the tag of the hash and the value to the slot, in one step. */
void slot_set(struct store *s, enum slots table, __u32 slot, __u64 hash, __u32 value);

/* The number of slots in a table, and whether count more may be used. */
__u32 slots_count(const struct store *s, enum slots table);
bool slots_have_room(const struct store *s, enum slots table, __u32 count);

#endif
