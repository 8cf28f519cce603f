/* SPDX-License-Identifier: GPL-2.0-only */
/* What --exclude keeps off the fast path. */
#ifndef SHUNT_EXCLUDES_H
#define SHUNT_EXCLUDES_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

/* Reads port:LOW[-HIGH], process:NAME or ADDR/LEN. Returns 0, or -EINVAL after reporting it. */
int exclude_parse(const char *option, const char *text, struct shunt_exclude *ret);

/* Writes an exclude as exclude_parse() reads it. */
void exclude_text(const struct shunt_exclude *x, char *text, size_t size);

/* Whether the exclude is among the first n. */
bool exclude_is_among(const struct shunt_exclude *x, const struct shunt_exclude *all,
		      unsigned int n);

/*
 * Sorts wanted[n] so that those which are in now[n_now], too, keep their places there as far as n
 * allows. The programs search the table while it changes: an exclude that stays and does not move is
 * found at any time. Both have room for SHUNT_EXCLUDES.
 */
void excludes_keep_places(struct shunt_exclude *wanted, unsigned int n,
			  const struct shunt_exclude *now, unsigned int n_now);

#endif
