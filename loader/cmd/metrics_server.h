/* SPDX-License-Identifier: GPL-2.0-only */
/* The child of 'shunt run --metrics' that serves HTTP: a scrape never holds up the supervisor. */
#ifndef SHUNT_METRICS_SERVER_H
#define SHUNT_METRICS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include <linux/types.h>

#include "cmd/metrics_address.h"

struct metrics_server {
	struct metrics_address address; /* without a word: nothing is to be served */
	bool rules;                     /* series by rule, too */
	gid_t group;                    /* may use the socket of a path */
	pid_t pid;                      /* 0: none */
	__u64 restart_ns;               /* not before this time */
};

/* Takes over the process of the supervisor before it began anew, or starts one. Returns 0, or -errno after
 * reporting it. */
int metrics_server_start(struct metrics_server *s);

/* Starts the process again if it has ended. */
void metrics_server_keep(struct metrics_server *s);

/* Before the supervisor begins anew: leaves the process running, and notes it in the environment.
 * Afterwards: takes it over; false if there is none. */
void metrics_server_hand_on(const struct metrics_server *s);
bool metrics_server_inherit(struct metrics_server *s);

void metrics_server_stop(struct metrics_server *s);

#endif
