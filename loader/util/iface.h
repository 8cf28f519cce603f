/* SPDX-License-Identifier: GPL-2.0-only */
/* Indexes and names of interfaces, in the network namespace of this process. Both functions
 * fail if no file descriptor is left; then the interface may exist all the same. */
#ifndef SHUNT_IFACE_H
#define SHUNT_IFACE_H

#include <net/if.h>

#include <linux/types.h>

/* Sets *ret to the index of the interface of this name, 0 if there is none. Returns 0, or
 * -errno without a message. */
int iface_index(const char *name, __u32 *ret);

/* Writes the name of the interface with this index. Returns 1, 0 if there is no such interface,
 * or -errno without a message. */
int iface_name(__u32 index, char ret[IF_NAMESIZE]);

#endif
