/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of rules, which have numbers: the inner map of shunt_rule_counters. */
#ifndef SHUNT_COUNTERS_H
#define SHUNT_COUNTERS_H

#include "rules/rule.h"
#include "rules/units.h"

/* Puts the first counters, of this many parts each, into the outer map. Reports errors and returns
 * -errno. */
int counters_make(int outer, __u32 parts);

/* Opens the pinned counters. Returns -errno without a message. */
int counters_open(__u32 parts);
void counters_close(void);

/* Takes counters for a new rule of the store. Reports errors and returns -errno. */
int counters_take(struct store *s, __u32 *ret);

/* Frees the counters of a rule that is gone. The generation changes, so the flows that the rule
 * steered count as new flows. To call it twice does no harm. */
void counters_free(struct store *s, __u32 counters);

/* The same for counters that the store already lists as free. */
void counters_end(__u32 counters);

/* Sets hit to now, as for a new rule: a rule that was changed may not have a listener yet. */
void counters_reset_miss(__u32 counters);

/* Entry i of the store's stack of free counters. */
__u32 *free_counters_at(struct store *s, __u32 i);

void counters_read(__u32 counters, struct rule_counts *ret);

/* CLOCK_MONOTONIC in the ticks of counters (SHUNT_TICKS). */
__u32 ticks_now(void);

#endif
