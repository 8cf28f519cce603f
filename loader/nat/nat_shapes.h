/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shapes of NAT's hash table (include/shunt/nat.h). shapes[] has two lists for each group:
 * one in force, and one to write the next list to. nat->current[] tells which is in force.
 */
#ifndef SHUNT_NAT_SHAPES_H
#define SHUNT_NAT_SHAPES_H

#include <shunt/abi.h>
#include "nat/nat_compile.h"

/* Adds the shapes of these entries to those in force. Reports errors and returns -errno; then the
 * shapes have not changed. */
int nat_shapes_add(struct shunt_nat *nat, struct shunt_nat_shapes *shapes,
		   const struct nat_entries *e);

/* Removes the shapes that no entry of the hash table has. Reports errors and returns -errno; then
 * the shapes have not changed. */
int nat_shapes_remove_unused(struct shunt_nat *nat, struct shunt_nat_shapes *shapes, int match_fd);

#endif
