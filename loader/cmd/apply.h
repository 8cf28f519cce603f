/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts the rules of a file in force: for 'shunt apply' and 'shunt load --config'. */
#ifndef SHUNT_APPLY_H
#define SHUNT_APPLY_H

#include "cmd/plan.h"
#include "config/rule_file.h"

/*
 * Makes the steering rules of the file the only ones in force. The caller holds the lock and has
 * opened the rules. Returns 0, or -errno after reporting it; nothing has changed then.
 */
int apply_steering_rules(const struct rule_file *f, struct rule_changes *ret);

/* Adds to the file what it does not have of the rules that routers have made, unless the router has
 * ended. Those that the file has get their router. The caller holds the lock and has opened the rules.
 * Reports errors and returns -errno. */
int keep_router_rules(struct rule_file *f);

/* Finds what apply_steering_rules() would change. */
void compare_steering_rules(const struct rule_file *f, struct rule_changes *ret);

/* Puts the rules of both kinds in force; NULL: leaves those of that kind alone. The caller holds the lock
 * and has opened the rules. Returns 0, or -errno after reporting it; nothing has changed then. */
int apply_rules(struct rule_file *f, struct rule_changes *steer, struct rule_changes *nat);

/* Prints how many rules were added, changed and deleted; with -j also the other changes of the plan, which
 * may be NULL. */
void report_rule_changes(const struct rule_changes *steer, const struct rule_changes *nat,
			 const struct plan *plan);

#endif
