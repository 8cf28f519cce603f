/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The counters of rules: the inner map of shunt_rule_counters. A rule has its counters by number.
 * Each number has conf.shards copies (shards), so that each CPU can count in its own.
 */
#ifndef SHUNT_COUNTERS_H
#define SHUNT_COUNTERS_H

#include "rules/rule.h"
#include "rules/units.h"

/* Puts the first counters into the outer map; each has that number of shards. Reports errors and
 * returns -errno. */
int counters_make(int outer, __u32 shard_count);

/* Opens the pinned counters. Returns -errno without a message. */
int counters_open(__u32 shard_count);
void counters_close(void);

/* Takes counters for a new rule of the store, zeroes them and sets *ret to their number. Reports
 * errors and returns -errno. */
int counters_take(struct store *s, __u32 *ret);

/* Frees the counters of a rule that was removed. Their generation changes, so the flows that the
 * rule steered count as new flows. Does nothing if the counters are free already. */
void counters_free(struct store *s, __u32 counters);

/* Changes the generation in the same way, for counters that the store already lists as free. */
void counters_end(__u32 counters);

/* Sets last_hit to now, as for a new rule: a rule that was changed may not have a listener yet. */
void counters_set_last_hit(__u32 counters);

/* Entry i of the store's stack of free counters. */
__u32 *free_counters_at(struct store *s, __u32 i);

/* Sets *ret to the sums over all shards, and to the latest last_hit and last_miss. */
void counters_read(__u32 counters, struct rule_counts *ret);

/* CLOCK_MONOTONIC in the ticks of counters (SHUNT_TICKS). */
__u32 ticks_now(void);

#endif
