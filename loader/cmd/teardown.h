/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_TEARDOWN_H
#define SHUNT_TEARDOWN_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

struct teardown {
	unsigned int timeout_ms; /* readers have this long to take what is queued for them */
	bool reset;              /* then their connections are reset */
	bool quiet;              /* does not report the sockets that hold bytes */
	bool forget;             /* keeps no rules of routers (cmd/kept_rules.h) */
};

/* The error of two steps: the first one. -EBUSY gives way to any other error: it says that all is done
 * but for readers that have to be waited for. */
static inline int first_error(int first, int error)
{
	if (first && first != -EBUSY)
		return first;
	return error ? error : first;
}

/*
 * Takes one half off the host, whatever state a load or an unload left it in. What is missing is no
 * error. The caller holds the lock. Moves the process to the network namespace of the load, if that
 * exists. Returns 0, or -errno after reporting it; -EBUSY if readers of the bypass still hold
 * bytes: then the bypass lingers (bypass/lingering.h).
 */
int teardown(enum half half, const struct teardown *t);

/* Ends the bypasses that linger (bypass/lingering.h), as teardown() does. */
int teardown_lingering(const struct teardown *t);

/* Prints sockets that hold bytes, each with a process that has it open. */
void print_left(FILE *out, const struct shunt_row *rows, size_t n);

/* Takes all halves off the host, also those that linger. Goes on after a failure. Returns 0, or the first -errno after
 * reporting each. */
int teardown_all(const struct teardown *t);

#endif
