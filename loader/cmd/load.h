/* SPDX-License-Identifier: GPL-2.0-only */
/* Brings what is loaded to what words or a file say: for 'shunt load' and 'shunt apply'. */
#ifndef SHUNT_LOAD_H
#define SHUNT_LOAD_H

#include <stdbool.h>

#include "cmd/load_half.h"
#include "cmd/load_more.h"
#include "config/load_config.h"

struct load {
	struct load_config *config; /* what is wanted */
	struct load_config *now;    /* what was in force before */
	bool applies;               /* the rules of the file come into force */
	struct load_changes rules;  /* of halves that were not loaded before */
	bool loaded[HALVES];        /* before */
	bool fresh[HALVES];         /* loaded by this command */
	struct more more;           /* added to halves that were loaded before */
};

/* Reads what is loaded into l->now. The caller holds the lock. Returns 0, or -errno after reporting
 * it. */
int load_begin(struct load *l);

/* Refuses what can't be done, before anything has changed; netns: the cookie of the network namespace
 * for which the words are. Returns 0, or -errno after reporting it. */
int load_check(const struct load_config *config, const bool loaded[HALVES], __u64 netns);

/* Loads the halves that are wanted, adds attachments to those that are loaded, and changes their
 * settings. l->config->loaded is l->now. Returns 0, or -errno after reporting it; then load_undo()
 * takes back what was done. */
int load_add(struct load *l);

/* Takes back what load_add() did: settings, what was added, and the halves that it loaded. */
void load_undo(struct load *l);

#endif
