/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks a whole store: that each slot, node and rule can be found, is in order, and counted. */
#ifndef SHUNT_STORE_VALIDATE_H
#define SHUNT_STORE_VALIDATE_H

#include "rules/units.h"

/* 0 if all is in order; else -EIO or -ENOMEM, and a message names what is not. Takes time
 * for each unit of the store. The caller holds the lock, and change_repair() has run. */
int store_validate(struct store *s);

#endif
