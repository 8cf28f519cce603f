/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks a whole store: each slot, node and rule must be reachable, sorted and counted. */
#ifndef SHUNT_STORE_VALIDATE_H
#define SHUNT_STORE_VALIDATE_H

#include "rules/store_journal.h"
#include "rules/units.h"

#define STORE_FAULT 128 /* room for any text of a fault */

/* Returns 0 if all is in order, -EIO with the text of the fault, or -ENOMEM. Takes time in
 * proportion to the units of the store. The caller holds the lock, and journal_repair() has run. */
int store_validate(struct store *s, char ret_fault[STORE_FAULT]);

#endif
