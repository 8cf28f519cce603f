/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The supervisor of the bypass: promotes pairs that are busy and whose readers have shown
 * that they can't tell, and takes out those that no longer profit. Without it the pairs
 * stay as they are. Which stages a pair goes through is in pair_stages.h.
 */
#ifndef SHUNT_SUPERVISOR_H
#define SHUNT_SUPERVISOR_H

#include <stdbool.h>

#include "bypass/pair_table.h"

struct supervisor {
	struct shunt_conf *conf;
	const struct shunt_exclude *excludes;
	struct pair_table table;
	int scan_link;     /* iterator over the paired sockets; -1: no bypass is loaded */
	int fionread_map;  /* processes that ask FIONREAD */
	int splicer_map;   /* processes that splice */
	int tp_recv, tp_send, tp_read, tp_ioctl; /* tracepoint links, -1 when not attached */
	__u64 tracepoints_needed_ns;
	/* counted at each pass */
	__u32 used;
	__u32 watched;     /* pairs WATCHED */
	__u32 in_transition; /* pairs JOINING, LEAVING, EMPTYING */
	__u32 stuck;       /* of them, those whose readers let them wait */
	__u32 active;
	__u32 splicer_seq; /* the last conf->splicer_seq that was acted upon */
	bool splicers_changed;
	bool stopping;     /* all pairs leave */
};

#define SUPERVISOR_CLOSED { .table = { .slot_map = -1 }, .scan_link = -1, .fionread_map = -1, \
			    .splicer_map = -1, .tp_recv = -1, .tp_send = -1, .tp_read = -1, .tp_ioctl = -1 }

/* Opens what is pinned: 0, or -ENOENT, unsaid. */
int supervisor_open(struct supervisor *s, struct shunt_conf *conf);
void supervisor_close(struct supervisor *s);

/* One pass over the paired sockets. Returns how many ms to wait for the next one. */
int supervisor_scan(struct supervisor *s);

/* Is no pair on the fast path, or on its way there or from there? */
bool supervisor_at_rest(const struct supervisor *s);

#endif
