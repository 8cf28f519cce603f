/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces: all that some process or thread is in, or that /run/netns names. */
#ifndef SHUNT_NETNS_H
#define SHUNT_NETNS_H

#include <stdbool.h>

#include <linux/types.h>

/* The cookie of the caller's network namespace: no other namespace ever gets the same one.
 * Returns 0 and sets errno if the cookie can't be read. */
__u64 own_netns_cookie(void);

/* The inode number of the caller's network namespace: another one may get it when this one is
 * gone. Returns 0 and sets errno if it can't be read. */
__u64 own_netns_inode(void);

/* Moves the caller to the network namespace that has both this inode number and this cookie.
 * Returns 0, or -errno without a message: -ENOENT if there is no such namespace, another errno
 * if it may exist. */
int enter_netns(__u64 inode, __u64 cookie);

/* Whether enter_netns() has moved this process. */
bool netns_has_moved(void);

/* Calls visit(data) once in each network namespace, then returns to the caller's. */
void for_each_netns(void (*visit)(void *data), void *data);

#endif
