/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and names of interfaces, in the network namespace of this process. Whoever
 * has no file descriptor left can't ask; that does not mean that there is none. */
#ifndef SHUNT_IFACE_H
#define SHUNT_IFACE_H

#include <net/if.h>

#include <linux/types.h>

/* The number of the interface of this name, 0 if there is none; 0 or -errno, unsaid. */
int iface_index(const char *name, __u32 *ret);

/* The name of the interface with this number: 1, 0 if there is none, or -errno, unsaid. */
int iface_name(__u32 index, char ret[IF_NAMESIZE]);

#endif
