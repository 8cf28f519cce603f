/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The supervisor of the bypass. It promotes busy pairs whose readers were watched and found
 * fit, and takes pairs off the fast path for which TCP is better. Programs in the kernel can only
 * mark a pair as leaving; every other change of its stage is the supervisor's. pair_stages.h has
 * the stages.
 */
#ifndef SHUNT_SUPERVISOR_H
#define SHUNT_SUPERVISOR_H

#include <stdbool.h>

#include "bypass/pair_table.h"

struct supervisor {
	struct shunt_conf *conf;
	const struct shunt_exclude *excludes;
	struct pair_table table;
	int scan_link;    /* iterator over the paired sockets; -1: no bypass is loaded */
	int fionread_map; /* processes that use FIONREAD */
	int splicer_map;  /* processes that splice */
	int tp_recv, tp_send, tp_read, tp_ioctl; /* tracepoint links, -1 when not attached */
	__u64 tracepoints_needed_ns;
	/* how many pairs, counted at each scan */
	__u32 used;            /* in any stage */
	__u32 watched;         /* WATCHED */
	__u32 in_transition;   /* JOINING, LEAVING or EMPTYING */
	__u32 stuck;           /* of these, the ones that wait for their readers */
	__u32 active;          /* ACTIVE */
	__u32 splicer_seq;     /* conf->run.splicer_seq at the last scan */
	bool splicers_changed; /* it has changed since the scan before */
	bool stopping;         /* all pairs leave */
};

#define SUPERVISOR_CLOSED \
	{ \
		.table = { .slot_map = -1 }, .scan_link = -1, .fionread_map = -1, \
		.splicer_map = -1, .tp_recv = -1, .tp_send = -1, .tp_read = -1, .tp_ioctl = -1 \
	}

/* Opens the pinned maps and the programs that scan sockets. conf is the bypass's and stays the
 * caller's. Returns 0, or -errno without a message; -ENOENT: no bypass is loaded. */
int supervisor_open(struct supervisor *s, struct shunt_conf *conf);
void supervisor_close(struct supervisor *s);

/* Scans the paired sockets once, and takes for each pair the step that is due. Returns how many ms to
 * wait before the next scan. */
int supervisor_scan(struct supervisor *s);

/* Whether no pair is on the fast path, or on its way there or back. */
static inline bool supervisor_at_rest(const struct supervisor *s)
{
	return !s->active && !s->in_transition;
}

#endif
