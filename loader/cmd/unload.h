/* SPDX-License-Identifier: GPL-2.0-only */
/* Takes away single attachments and halves: for 'shunt unload' and 'shunt apply'. */
#ifndef SHUNT_UNLOAD_H
#define SHUNT_UNLOAD_H

#include <stdbool.h>

#include <shunt/abi.h>

#include "bpf/halves.h"
#include "cmd/teardown.h"

/* Detaches from an interface or cgroup all that 'shunt load' attached there for the part, which has the
 * kind and name of one entry of the table. The caller holds the lock. Goes on after a failure. Returns 0,
 * or the first -errno after reporting each. */
int unload_part(struct shunt_attachment *attachments, const struct shunt_attachment *part);

/* Takes halves off the host, and those bypasses that linger if the bypass is among them. The caller holds
 * the lock. Goes on after a failure. Returns 0, or first_error() after reporting each error; -READERS_LEFT while
 * readers of the bypass hold bytes: see unload_wait(). */
int unload_halves(const bool half[HALVES], const struct teardown *how);

/* Ends the bypasses that linger, once their readers have read. The caller holds no lock. Returns 0, or
 * -errno after reporting it. */
int unload_wait(const struct teardown *how);

#endif
