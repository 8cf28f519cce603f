/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds rules that match packets for this host's own addresses. */
#ifndef SHUNT_OWN_ADDRESSES_H
#define SHUNT_OWN_ADDRESSES_H

#include "rules/rule.h"

/* If new rules match packets for an address of this host, prints what that means for the host's own
 * services. */
void own_addresses_warn(const struct shunt_rule *const *rules, __u32 count);

#endif
