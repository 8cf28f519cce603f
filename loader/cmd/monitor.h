/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of 'shunt monitor': its programs, and what it prints. */
#ifndef SHUNT_MONITOR_H
#define SHUNT_MONITOR_H

#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>

#include "bpf/programs.h"
#include "flows/filter.h"
#include "flows/flow_counters.h"
#include "flows/flow_labels.h"

#define DEFAULT_TOP 20
#define FILTER_TEXT 4096

/* An interface, and this process's programs there, unless the programs of 'shunt load' count. */
struct watched_iface {
	char name[IF_NAMESIZE];
	unsigned int ifindex;
	struct shunt_attachment in;
	struct shunt_attachment out;
	int in_link;
	int out_link;
};

enum order { BY_BPS, BY_PPS, BY_BYTES, BY_PACKETS };

struct monitor {
	struct watched_iface *ifaces;
	unsigned int n_ifaces;
	bool all;              /* no interface was named */
	unsigned int top;      /* 0: as many as fit */
	unsigned int interval; /* seconds */
	bool once;
	bool screen;
	enum order order;
	char filter_text[FILTER_TEXT]; /* the filter as it was typed */
	struct filter *filter;

	struct private_monitor own;    /* skel is NULL if load's programs count */
	const struct shunt_conf *conf; /* settings of what is loaded; NULL if nothing is loaded */
	struct flow_reader reader;
	struct flow_labels *labels;
	struct flows flows;
	size_t counted;  /* flows of the watched interfaces */
	size_t matching; /* flows that the filter lets pass; they come first */
};

/* The words of --sort, by enum order. */
extern const char *const monitor_orders[];

/* monitor_attach.c */

/* Adds an interface to those that are watched, unless it is one. Returns 0, or -errno after
 * reporting it. */
int monitor_add_iface(struct monitor *m, const char *name);

/* Attaches programs of this process to the interfaces, or opens the counters of load's programs.
 * Returns 0, or -errno after reporting it; the caller detaches in any case. */
int monitor_attach(struct monitor *m);
void monitor_detach(struct monitor *m);

/* monitor_print.c */

/* Draws the whole screen. Returns 0, or -errno after reporting it. */
int monitor_draw(const struct monitor *m);
void monitor_print_text(const struct monitor *m);
void monitor_print_json(const struct monitor *m);

#endif
