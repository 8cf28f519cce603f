/* SPDX-License-Identifier: GPL-2.0-only */
/* Labels for the flows that the monitor shows: steered, bypassed, translated by NAT. */
#ifndef SHUNT_FLOW_LABELS_H
#define SHUNT_FLOW_LABELS_H

#include "flows/flow_counters.h"

struct flow_labels;

/* Returns NULL if there is no memory. */
struct flow_labels *flow_labels_new(void);
void flow_labels_free(struct flow_labels *l);

/*
 * Adds the bypassed pairs, which pass no interface, to *flows: a flow for each sending end,
 * with its messages as packets. Rates are over that number of seconds; 0 gives none. Sets
 * the labels of all flows. Returns 0 or -ENOMEM without a message. A half of shunt that is
 * not loaded is no error.
 */
int flow_labels_add(struct flow_labels *l, struct flows *flows, double seconds);

#endif
