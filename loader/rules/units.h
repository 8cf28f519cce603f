/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The units that hold the rules (loader/abi.h), as one command sees them: the
 * parts of the map that it touches are mapped into memory. Whoever changes
 * them holds the lock on the pin directory.
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

/* Puts the first store into the outer map shunt_rules; 0 or -errno, said. */
int store_make(int outer);

/* Opens the pinned one; 0 or -errno, unsaid. */
int store_open(struct store *ret);
void store_close(struct store *s);

/* A store that nobody sees yet, for so many units of data and entries of the
 * tables; 0 or -errno, said. */
int store_create(struct store *ret, __u32 units, __u32 filter_entries, __u32 index_entries);

/* Puts a store in the place of the present one. No program uses that one any
 * more when it returns. 0 or -errno, said. */
int store_install(const struct store *s);

/* The memory of count units; the caller knows that they are in the store. */
void *store_at(struct store *s, __u32 unit, __u32 count);

/* Takes units that were never used: they are zero. 0 if there are none. */
__u32 store_alloc(struct store *s, __u32 count);

/* A hash table in a store. */
enum slots {
	SLOTS_FILTER,
	SLOTS_INDEX,
};

#define NO_SLOT 0xffffffff

/* The slot with the hash's tag, or NO_SLOT; *ret_room is one that may be taken
 * for it, or NO_SLOT. */
__u32 slot_find(struct store *s, enum slots table, __u64 hash, __u32 *ret_room);

__u64 slot_get(struct store *s, enum slots table, __u32 slot);

/* Stores a value, with the hash's tag, in one go. */
void slot_set(struct store *s, enum slots table, __u32 slot, __u64 hash, __u32 value);

/* Slots in a table, and whether so many more may be taken. */
__u32 slots_count(const struct store *s, enum slots table);
bool slots_have_room(const struct store *s, enum slots table, __u32 count);

#endif
