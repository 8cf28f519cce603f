/* SPDX-License-Identifier: GPL-2.0-only */
/* What rules have done: the inner map of shunt_tallies. */
#ifndef SHUNT_COUNTERS_H
#define SHUNT_COUNTERS_H

#include "rules/rule.h"
#include "rules/units.h"

/* Puts the first tallies into the outer map, each of so many parts; 0 or
 * -errno, said. */
int tallies_make(int outer, __u32 parts);

/* Opens the pinned ones; 0 or -errno, unsaid. */
int tallies_open(__u32 parts);
void tallies_close(void);

/* A tally for a new rule of the store; 0 or -errno, said. */
int tally_take(struct store *s, __u32 *ret);

/* The rule is gone: flows that it gave away are new ones from now on. Once is
 * enough, more do no harm. */
void tally_free(struct store *s, __u32 tally);

/* The same for a tally that is among the store's free ones. */
void tally_end(__u32 tally);

/* The rule was changed: its listener is not yet to be missed. */
void tally_touch(__u32 tally);

/* A place in the store's stack of free tallies. */
__u32 *free_tally(struct store *s, __u32 i);

void tally_counts(__u32 tally, struct rule_counts *ret);

/* CLOCK_MONOTONIC, as tallies have it. */
__u32 ticks_now(void);

#endif
