/* SPDX-License-Identifier: GPL-2.0-only */
/* The metrics that are not in the table of numbers (status_numbers.h): those with labels, and those of
 * no single half. */
#ifndef SHUNT_METRICS_TABLE_H
#define SHUNT_METRICS_TABLE_H

#include "cmd/status_numbers.h"

enum metric_id {
	METRIC_INFO,
	METRIC_BUILD_INFO,
	METRIC_LOADED,
	METRIC_HALF_LOADED,
	METRIC_DRAINING,
	METRIC_LINGERING_BYPASSES,
	METRIC_LINGERING_BYTES,
	METRIC_SUPERVISOR_RUNNING,
	METRIC_HEARTBEAT_AGE,
	METRIC_ATTACHED,
	METRIC_PAIR_STATES,
	METRIC_PAIR_REASONS,
	METRIC_ROUTE_PRESENT,
	METRIC_ROUTE_PRECEDED,
	METRIC_BY_RULE, /* from here on: with --rules only */
	METRIC_RULE_PACKETS = METRIC_BY_RULE,
	METRIC_RULE_BYTES,
	METRIC_RULE_FLOWS,
	METRIC_RULE_MISSES,
	METRIC_RULES_LEFT_OUT,
	METRIC_LISTENER_PRESENT,
	METRIC_LISTENER_RULES,
	METRICS,
};

struct metric {
	const char *name; /* without "shunt_" and "_total" */
	enum number_type type;
	const char *labels; /* their names with commas; NULL: none */
	const char *help;
};

extern const struct metric metrics[METRICS];

/* Writes the reference of all metrics as Markdown on stdout. */
void metrics_print_reference(void);

#endif
