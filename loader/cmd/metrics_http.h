/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HTTP for Prometheus: GET and HEAD of /metrics. For each request a process prints the metrics, so that
 * what it reads is never older than the request, and a fault there harms nothing else. One request is
 * answered at a time, the others wait.
 */
#ifndef SHUNT_METRICS_HTTP_H
#define SHUNT_METRICS_HTTP_H

#include <stdbool.h>

struct metrics_http {
	int listener;
	int ready;  /* gets a byte once it serves */
	bool rules; /* --metrics-rules */
};

/* Serves as long as it can. Returns -errno after reporting why it can't. */
int metrics_http_serve(const struct metrics_http *h);

/* Whether a client prefers OpenMetrics to Prometheus' text format, by its header Accept; NULL: it has sent
 * none. */
bool accepts_openmetrics(const char *accept);

#endif
