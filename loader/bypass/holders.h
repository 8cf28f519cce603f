/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes that have a socket open. They are found by /proc, and by the socket's cookie, which
 * pidfd_getfd(2) and SO_COOKIE give: Linux 5.6 and later. */
#ifndef SHUNT_HOLDERS_H
#define SHUNT_HOLDERS_H

#include <stdbool.h>

#include <linux/types.h>

struct holder {
	int pid; /* 0: no process was found */
	char name[16];
};

/* Finds a process that has the socket of this cookie open. */
void holder_find(__u64 cookie, struct holder *ret);

/* Resets the connection of this socket: its reader gets ECONNRESET, and its peer an RST. Returns
 * whether a process had the socket open. */
bool holder_reset(__u64 cookie);

#endif
