/* SPDX-License-Identifier: GPL-2.0-only */
/* The supervisor's table of pairs, shunt_pairs: who has an entry. */
#ifndef SHUNT_PAIR_TABLE_H
#define SHUNT_PAIR_TABLE_H

#include <stdbool.h>

#include <shunt/abi.h>

struct pair_table {
	struct shunt_conf *conf;
	struct shunt_pair *pairs;
	int slot_map;      /* shunt_slot */
	__u32 end;         /* no entry from here on is in use */
	__u32 first_free;  /* none before this one is free */
	__u32 searches;    /* for an entry to take away, in this pass */
	__u64 refused_ns;  /* when a pair last found no entry */
};

/* Begins a pass: what it may do for want of room is bounded. */
void pair_table_begin_scan(struct pair_table *t, __u64 now_ns);

/*
 * A new entry for the pair of that row. If all are in use, one is taken from the cgroup
 * that has the most: the one that was idle for longest. A pair on the fast path has to
 * leave that first, so NULL may come, and an entry in a later pass.
 */
struct shunt_pair *pair_table_add(struct pair_table *t, const struct shunt_row *row, __u64 now_ns);

/* Frees an entry. A socket that connected again may be in another pair by now. */
void pair_table_free(struct pair_table *t, struct shunt_pair *p);

#endif
