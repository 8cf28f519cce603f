/* SPDX-License-Identifier: GPL-2.0-only */
/* What 'shunt status' and 'shunt metrics' tell. */
#ifndef SHUNT_STATUS_H
#define SHUNT_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/utsname.h>

#include <shunt/abi.h>
#include "attach/links.h"

struct status {
	struct utsname host;
	struct shunt_conf *conf; /* NULL: nothing is loaded */
	struct shunt_attachment *attachments;
	struct shunt_count count;
	size_t pairs;
	size_t active;
	bool proven;     /* some cgroup is */
	bool supervised; /* the supervisor runs and gives heartbeats */
	bool stalled;    /* it is there, but gives none */
	bool netns_gone; /* that of load */
	bool preceded;   /* another program has a routing rule before ours: preceded_by */
	__u32 preceded_by;
	__u64 queued;
	unsigned int rules;
	const struct shunt_nat *nat;
	unsigned int nat_rules;
	struct links links; /* freed by status_free() */
};

/* Reads it all; *ret_lock is the lock on the pin directory, so that it stays so until the
 * caller lets go, or negative. 0 with nothing loaded too, or -errno, said. */
int status_read(struct status *s, int *ret_lock);

/* Frees what status_read() has read; *s may be all zero. */
void status_free(struct status *s);

/* Is something of that kind attached? */
bool status_has(const struct status *s, enum attachment_kind kind);

#endif
