/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules that meet packets for this host's own addresses. */
#ifndef SHUNT_OWN_ADDRESSES_H
#define SHUNT_OWN_ADDRESSES_H

#include "rules/rule.h"

/* Says of new rules what becomes of this host's own services, if they meet packets for
 * one of its addresses. */
void own_warn(const struct shunt_rule *const *rules, __u32 count);

#endif
