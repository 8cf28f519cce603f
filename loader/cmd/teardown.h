/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_TEARDOWN_H
#define SHUNT_TEARDOWN_H

/*
 * Undoes everything below the pin directory, whatever state a load or an unload left it in.
 * Readers get timeout_ms to take what is queued for them. The caller holds the lock. Returns 0,
 * or the first -errno after reporting it; -EBUSY if readers still hold bytes: the rest stays
 * pinned then.
 */
int teardown(unsigned int timeout_ms);

#endif
