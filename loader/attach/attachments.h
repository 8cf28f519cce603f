/* SPDX-License-Identifier: GPL-2.0-only */
/* Entries of the table of attachments, shunt_state. Nothing is attached here. */
#ifndef SHUNT_ATTACHMENTS_H
#define SHUNT_ATTACHMENTS_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Whether the name stands for all interfaces of a pattern, as 'veth*' does. */
bool is_pattern(const char *name);

/* The entry of this kind and name in states[SHUNT_STATES]; NULL if there is none. As
 * strchr() does, the result drops the const of the table. */
struct shunt_state *state_find(const struct shunt_state *states, enum shunt_kind kind,
			       const char *name);

/* An entry that is not in use; NULL if all are. */
struct shunt_state *state_free(struct shunt_state *states);

bool state_is_monitor(const struct shunt_state *s);
bool state_is_nat(const struct shunt_state *s);

/* Fills the two entries of NAT at this interface: what comes in, what goes out. Reports
 * errors and returns -errno. */
int nat_states(const char *name, struct shunt_state ret[2]);

#endif
