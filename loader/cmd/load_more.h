/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_LOAD_MORE_H
#define SHUNT_LOAD_MORE_H

#include <stdbool.h>

#include "bpf/halves.h"
#include "config/load_config.h"

/* Checks that the words of load can be added to this half, which is loaded. Changes nothing.
 * Returns 0, or -errno after reporting it. */
int load_more_check(enum half half, const struct load_config *config);

/* What load_more() has done. */
struct more {
	struct shunt_attachment *attachments; /* NULL: no half was loaded before */
	bool was_there[SHUNT_ATTACHMENTS];    /* entries of the table before load_more() */
	bool was_by_pattern[SHUNT_ATTACHMENTS];
	bool was_auto_attached[SHUNT_ATTACHMENTS];
	bool changed;
};

/* Notes what the table of attachments has, for load_more_undo(). Returns 0, or -errno after
 * reporting it. */
int load_more_begin(struct more *m);

/*
 * Attaches what the words of load add to a half that is loaded, and attaches again what somebody
 * took off. What they do not name stays as it is. Reports errors and returns -errno; then
 * load_more_undo() takes back what was added.
 */
int load_more(enum half half, const struct load_config *config, struct more *m);
void load_more_undo(struct more *m);

/* Changes the settings of a loaded half to those that the words of load name. Reports errors and
 * returns -errno. */
int load_more_settings(enum half half, const struct load_config *config, struct more *m);

#endif
