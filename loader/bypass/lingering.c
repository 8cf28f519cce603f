// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/lingering.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bpf/pins.h"
#include "bypass/drain.h"
#include "bypass/iterators.h"
#include "util/cleanup.h"
#include "util/log.h"

bool lingering_is_there(enum half half)
{
	char path[PIN_PATH];

	return !access(pin_path(path, half, "", ""), F_OK);
}

unsigned int lingering_count(void)
{
	unsigned int count = 0;
	int half;

	for (half = HALF_LINGERING; half < HALF_LINGERING_END; half++)
		count += lingering_is_there(half);
	return count;
}

bool lingering_is_any(void)
{
	return lingering_count() > 0;
}

int lingering_begin(enum half bypass)
{
	char from[PIN_PATH], to[PIN_PATH];
	int half;

	for (half = HALF_LINGERING; half < HALF_LINGERING_END; half++)
		if (!lingering_is_there(half))
			break;
	if (half == HALF_LINGERING_END)
		return deny(-ENOSPC, "%d bypasses linger already", LINGERING_MAX);
	pin_path(from, bypass, "", "");
	if (rename(from, pin_path(to, half, "", "")))
		return fail(-errno, "can't rename '%s'", from);
	return 0;
}

static bool is_listed(const struct shunt_row *rows, size_t n, __u64 cookie)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].sk.cookie == cookie)
			return true;
	return false;
}

/* Appends the rows with bytes to (*all)[*n], each socket once: a later bypass has adopted the sockets of
 * an earlier one, and an iterator over files visits a socket once for each descriptor. */
static int append_queued(struct shunt_row **all, size_t *n, const struct shunt_row *rows,
			 size_t count)
{
	struct shunt_row *more = reallocarray(*all, *n + count, sizeof(*more));
	size_t i;

	if (!more)
		return -ENOMEM;
	*all = more;
	for (i = 0; i < count; i++)
		if (rows[i].queued && !is_listed(more, *n, rows[i].sk.cookie))
			more[(*n)++] = rows[i];
	return 0;
}

int lingering_list(struct shunt_row **ret, size_t *ret_n)
{
	int half, error = 0;

	for (half = HALF_LINGERING; half < HALF_LINGERING_END && !error; half++) {
		_cleanup_free_ struct shunt_row *rows = NULL;
		size_t n = 0;

		if (!lingering_is_there(half) ||
		    iter_run_once(half, "shunt_list", "shunt_sk", &rows, &n) || !n)
			continue;
		error = append_queued(ret, ret_n, rows, n);
	}
	return error;
}

int remove_half(enum half half)
{
	int error = unpin_all(half, "links");

	if (error)
		return error;
	error = unpin_all(half, "progs");
	if (error)
		return error;
	error = unpin_all(half, "maps");
	return error ? error : pins_remove_half(half);
}

int lingering_sweep(void)
{
	int half, error;

	for (half = HALF_LINGERING; half < HALF_LINGERING_END; half++) {
		_cleanup_free_ struct shunt_row *left = NULL;
		size_t n = 0;

		if (!lingering_is_there(half))
			continue;
		error = bypass_drain(half, DRAIN_ALL, 0, &left, &n);
		if (error == -READERS_LEFT)
			continue;
		error = error ? error : remove_half(half);
		if (error)
			return error;
	}
	return 0;
}
