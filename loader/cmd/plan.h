/* SPDX-License-Identifier: GPL-2.0-only */
/* What load or apply change: found before anything changes, for --check and for JSON. */
#ifndef SHUNT_PLAN_H
#define SHUNT_PLAN_H

#include <stdbool.h>

#include "config/load_config.h"
#include "rules/rule.h"

struct plan {
	const struct load_config *config; /* what is wanted */
	const struct load_config *now;    /* what is in force */
	bool loaded[HALVES];
	struct rule_changes steer;
	struct rule_changes nat;
};

/* Prints a line for each setting that has changed. */
void plan_say_settings(const struct plan *plan);

/* Writes the changes as members of the JSON object that is open. */
void plan_json(const struct plan *plan);

/* Begins and ends the output of --check. check_end() prints what would change, unless there was an
 * error; plan is NULL if nobody could look at what is loaded. Returns error. */
void check_begin(void);
int check_end(int error, const struct plan *plan);

/* Whether the plan takes the half off the host. */
bool plan_unloads(const struct plan *plan, enum half half);

#endif
