/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of pairs, shunt_pairs: gives entries to pairs, and takes them away. */
#ifndef SHUNT_PAIR_TABLE_H
#define SHUNT_PAIR_TABLE_H

#include <stdbool.h>

#include <shunt/abi.h>

struct pair_table {
	struct shunt_conf *conf;
	struct shunt_pair *pairs;
	int slot_map;     /* shunt_slot */
	__u32 pairs_end;  /* no entry with this index or a higher one is in use */
	__u32 first_free; /* no entry with a lower index is free */
	__u32 searches;   /* searches for an entry to take away, since this scan began */
	__u64 refused_ns; /* when a pair last found no entry */
};

/* To be called before each scan, because the searches of a scan are limited. */
void pair_table_begin_scan(struct pair_table *t, __u64 now_ns);

/*
 * Gives the pair of the row an entry. If all entries are in use, one is taken away: from the
 * cgroup that has the most entries, the one that was idle for the longest time. If that
 * entry's pair is on the fast path, it has to leave first: then NULL is returned, and the
 * pair may get an entry after a later scan.
 */
struct shunt_pair *pair_table_add(struct pair_table *t, const struct shunt_row *row, __u64 now_ns);

/* Frees an entry. An end that has connected again may have another entry by now, which
 * stays. */
void pair_table_free(struct pair_table *t, struct shunt_pair *p);

#endif
