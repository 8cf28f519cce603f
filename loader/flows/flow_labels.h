/* SPDX-License-Identifier: GPL-2.0-only */
/* What else shunt knows of the flows that the monitor shows. */
#ifndef SHUNT_FLOW_LABELS_H
#define SHUNT_FLOW_LABELS_H

#include "flows/flow_counters.h"

struct flow_labels;

/* NULL if there is no memory. */
struct flow_labels *flow_labels_new(void);
void flow_labels_free(struct flow_labels *m);

/*
 * Adds to *flows what no interface sees, the bypassed pairs (each end as a
 * sender, its messages as packets), with rates over seconds; 0 gives none.
 * Marks what is steered, bypassed or translated. 0 or -ENOMEM; what is not
 * loaded is no error.
 */
int flow_labels_add(struct flow_labels *m, struct flows *flows, double seconds);

#endif
