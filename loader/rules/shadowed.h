/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadowed rules match the same packets as a newer rule, which is in force. When the newer rule is
 * deleted, the newest of them comes into force again. The caller holds the lock and has opened
 * the rules. Functions that return int report errors and return -errno.
 */
#ifndef SHUNT_SHADOWED_H
#define SHUNT_SHADOWED_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Reads the shadowed rules for the packets of match; ret->count may be 0. */
int shadows_get(const struct shunt_rule *match, struct shunt_shadows *ret);

/* Makes these the shadowed rules for the packets of match. */
int shadows_put(const struct shunt_rule *match, const struct shunt_shadows *s);

/* Turns a rule into a shadowed rule, and a shadowed rule into one for the packets of match. */
struct shunt_shadow shadow_of(const struct shunt_rule *r);
struct shunt_rule shadow_rule(const struct shunt_rule *match, const struct shunt_shadow *s);

/* Adds r as the oldest of the shadowed rules. Refuses more than SHUNT_SHADOWS. */
int shadows_append(const struct shunt_rule *r);

/* Whether there are no shadowed rules at all. */
bool shadows_none(void);

/* Removes all shadowed rules. */
int shadows_clear(void);

#endif
