/* SPDX-License-Identifier: GPL-2.0-only */
/* Takes sockets off the fast path. */
#ifndef SHUNT_DRAIN_H
#define SHUNT_DRAIN_H

#include <errno.h>
#include <stddef.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

/* An error that says: all is done, but readers hold bytes on the fast path. */
#define READERS_LEFT EINPROGRESS

/* Tells the readers that there are bytes to read, if their sockets left the fast path with
 * bytes by TCP unread. */
void bypass_wake_readers(enum half half, __u32 *wakeups_pending);

/*
 * Takes all sockets off the fast path; each one leaves once its redirected bytes are read. 0
 * when no socket is left. -READERS_LEFT when some still hold bytes after timeout_ms: *ret has their
 * rows, which the caller frees. Other errors are reported. May be repeated. mode: DRAIN_ALL or
 * DRAIN_RESET.
 */
int bypass_drain(enum half half, enum shunt_drain_mode mode, unsigned int timeout_ms,
		 struct shunt_row **ret, size_t *ret_n);

#endif
