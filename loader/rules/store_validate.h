/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks a whole store: that each slot, node and rule can be found, is in order, and counted. */
#ifndef SHUNT_STORE_VALIDATE_H
#define SHUNT_STORE_VALIDATE_H

#include "rules/store_journal.h"
#include "rules/units.h"

#define STORE_FAULT 128 /* room for any text of a fault */

/* 0 if all is in order; -EIO if not, and *ret_fault is what; or -ENOMEM. Takes time for each
 * unit of the store. The caller holds the lock, and journal_repair() has run. */
int store_validate(struct store *s, char ret_fault[STORE_FAULT]);

#endif
