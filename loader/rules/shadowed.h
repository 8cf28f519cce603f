/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadowed rules: they are for the same packets as a rule in force, which is newer,
 * and come back when that is deleted. The caller holds the lock and has opened the
 * rules.
 */
#ifndef SHUNT_SHADOWED_H
#define SHUNT_SHADOWED_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Of rules for the packets of match, none if there are none; 0 or -errno, said. */
int shadows_get(const struct shunt_rule *match, struct shunt_shadows *ret);

/* Puts these in the place of all others for the packets of match; 0 or -errno, said. */
int shadows_put(const struct shunt_rule *match, const struct shunt_shadows *s);

/* Makes one of r, or a rule for the packets of match of one. */
struct shunt_shadow shadow_of(const struct shunt_rule *r);
struct shunt_rule shadow_rule(const struct shunt_rule *match, const struct shunt_shadow *s);

/* Adds r below all others, unless they are too many: 0 or -errno, said. */
int shadows_append(const struct shunt_rule *r);

/* Is there none at all? */
bool shadows_none(void);

/* Removes all; 0 or -errno, said. */
int shadows_clear(void);

#endif
