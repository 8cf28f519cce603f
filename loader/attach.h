/* SPDX-License-Identifier: GPL-2.0-only */
/* What is attached to the host, and how it comes off again. */
#ifndef SHUNT_ATTACH_H
#define SHUNT_ATTACH_H

#include "abi.h"

/* Attaches the pairing program to the cgroup, or steering to the interface,
 * that states[i] names. 0 or -errno, said. */
int attach(struct shunt_state *states, unsigned int i);

/* Is states[i] still attached? Someone may have taken it off. */
int attached(const struct shunt_state *states, unsigned int i);

/* Name of the pinned link of states[i]. */
const char *link_name(char name[32], unsigned int i);

/*
 * Undoes everything below the pin directory, whatever state a load or unload
 * left it in, and drains within timeout_ms. The caller holds the lock. 0, or
 * the first error; -EBUSY when readers still hold bytes: the rest stays
 * pinned and a list was printed.
 */
int teardown(unsigned int timeout_ms);

#endif
