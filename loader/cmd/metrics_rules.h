/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_METRICS_RULES_H
#define SHUNT_METRICS_RULES_H

/* Rules that have series of their own: the first ones in the order of precedence. The others are
 * counted, so that many rules don't become more series than Prometheus can take. */
#define METRICS_RULES 1000

/* Writes the metrics of each rule and of each listener. The rules are open, and the caller holds the lock.
 * Returns 0, or -errno after reporting it. */
int metrics_print_rules(void);

#endif
