/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces: those that a process is in or /run/netns names. */
#ifndef SHUNT_NETNS_H
#define SHUNT_NETNS_H

#include <stdbool.h>

#include <linux/types.h>

/* Cookie of the caller's, which no other ever has; 0 and errno if it can't be told. */
__u64 own_netns(void);

/* Its inode number, which another may get when it is gone; 0 likewise. */
__u64 own_netns_inode(void);

/* Moves the caller to the one with this inode number, if that has this cookie;
 * 0, -ENOENT if it is nowhere, or another -errno if it may be; unsaid. */
int enter_netns(__u64 inode, __u64 cookie);

/* Has enter_netns() moved it? */
bool netns_moved(void);

/* Calls visit(data) in each of them once, and comes back to the caller's. */
void each_netns(void (*visit)(void *data), void *data);

#endif
