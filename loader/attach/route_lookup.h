/* SPDX-License-Identifier: GPL-2.0-only */
/* Asks the kernel for the route to an address. */
#ifndef SHUNT_ROUTE_LOOKUP_H
#define SHUNT_ROUTE_LOOKUP_H

#include <stdbool.h>

#include <linux/types.h>

/* Sets *ret_ifindex to the interface that packets to this address leave by now; that of lo if the
 * address is this host's own. Returns 0, or -errno without a message. */
int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex);

/* Whether this is the broadcast address of a network that this host is in. */
bool route_is_broadcast(int family, const __u8 addr[16]);

#endif
