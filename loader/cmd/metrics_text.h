/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes metrics on stdout, in Prometheus' text format 0.0.4 or in OpenMetrics 1.0.0. Names are
 * given without "shunt_" and without "_total".
 */
#ifndef SHUNT_METRICS_TEXT_H
#define SHUNT_METRICS_TEXT_H

#include <stdbool.h>

#include "cmd/status_numbers.h"

#define METRIC_NAME 64

/* From now on, writes OpenMetrics. */
void metric_set_openmetrics(void);

/* The whole name of a metric. */
void metric_full_name(char full[METRIC_NAME], const char *name, enum number_type type);

/* "counter" or "gauge" */
const char *metric_type_text(enum number_type type);

/* Begins a metric: its samples follow. */
void metric_begin(const char *name, enum number_type type, const char *help);

/* Writes a sample of the metric that was begun: its labels, if any, then its value. */
void metric_label(const char *label, const char *value);
void metric_value(__u64 value);
void metric_seconds(__u64 ns);

/* Ends the output. */
void metric_end(void);

#endif
