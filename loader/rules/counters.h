/* SPDX-License-Identifier: GPL-2.0-only */
/* What rules have done: the inner map of shunt_rule_counters. */
#ifndef SHUNT_COUNTERS_H
#define SHUNT_COUNTERS_H

#include "rules/rule.h"
#include "rules/units.h"

/* Puts the first counters into the outer map, each of so many parts; 0 or
 * -errno, said. */
int counters_make(int outer, __u32 parts);

/* Opens the pinned ones; 0 or -errno, unsaid. */
int counters_open(__u32 parts);
void counters_close(void);

/* A counters for a new rule of the store; 0 or -errno, said. */
int counters_take(struct store *s, __u32 *ret);

/* The rule is gone: flows that it gave away are new ones from now on. Once is
 * enough, more do no harm. */
void counters_free(struct store *s, __u32 counters);

/* The same for counters that are among the store's free ones. */
void counters_end(__u32 counters);

/* The rule was changed: its listener is not yet to be missed. */
void counters_reset_miss(__u32 counters);

/* A place in the store's stack of free counters. */
__u32 *free_counters_at(struct store *s, __u32 i);

void counters_read(__u32 counters, struct rule_counts *ret);

/* CLOCK_MONOTONIC, as counters have it. */
__u32 ticks_now(void);

#endif
