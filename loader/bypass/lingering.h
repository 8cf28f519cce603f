/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bypass that is unloaded while readers hold redirected bytes lingers: its folder gets another
 * name, so that the bypass can be loaded again at once. Its verdict passes everything to TCP. Its
 * programs and maps go when the bytes are read.
 */
#ifndef SHUNT_LINGERING_H
#define SHUNT_LINGERING_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/halves.h"

/* Makes a bypass, which is unloaded but for its members, a lingering one: HALF_BYPASS, or the former one
 * of an upgrade. Returns 0, or -errno after reporting it. */
int lingering_begin(enum half bypass);

/* Whether the lingering bypass of this number, HALF_LINGERING and up, is there. */
bool lingering_is_there(enum half half);

bool lingering_is_any(void);
unsigned int lingering_count(void);

/* The sockets that hold bytes, of all of them; the caller frees *ret. Returns 0, or -errno without
 * a message. */
int lingering_list(struct shunt_row **ret, size_t *ret_n);

/* Removes those whose bytes have been read. Does not wait, and reports no bytes that are left.
 * Returns 0, or -errno after reporting it. */
int lingering_sweep(void);

/* Removes the programs and maps of a half without members, and its folder. Returns 0, or -errno
 * after reporting it. */
int remove_half(enum half half);

#endif
