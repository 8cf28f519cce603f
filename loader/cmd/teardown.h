/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_TEARDOWN_H
#define SHUNT_TEARDOWN_H

#include <stdbool.h>
#include <stdio.h>

#include <shunt/abi.h>

#include "bpf/halves.h"
#include "bypass/drain.h"

struct teardown {
	unsigned int timeout_ms; /* readers have this long to take what is queued for them */
	bool reset;              /* then their connections are reset */
	bool quiet;              /* does not report the sockets that hold bytes */
	bool forget;             /* keeps no rules of routers (cmd/kept_rules.h) */
};

/* The error of two steps: the first one, but -READERS_LEFT gives way to any other error. */
static inline int first_error(int first, int error)
{
	if (first && first != -READERS_LEFT)
		return first;
	return error ? error : first;
}

/*
 * Takes one half off the host, whatever state a load or an unload left it in. What is missing is no
 * error. The caller holds the lock. Moves the process to the network namespace of the load, if that
 * exists. Returns 0, or -errno after reporting it; -READERS_LEFT if readers of the bypass still hold
 * bytes: then the bypass lingers (bypass/lingering.h).
 */
int teardown(enum half half, const struct teardown *t);

/* Drains each bypass that lingers (bypass/lingering.h), and removes it. The caller holds the lock.
 * Returns 0, or -errno after reporting it; -READERS_LEFT if readers still hold bytes. */
int teardown_lingering(const struct teardown *t);

/* Takes the bypass off the host, and ends those that linger. As teardown(). */
int teardown_bypasses(const struct teardown *t);

/* Prints sockets that hold bytes, each with a process that has it open. */
void print_left(FILE *out, const struct shunt_row *rows, size_t n);

/* Takes all halves off the host, also bypasses that linger. The caller holds the lock. Goes on after
 * a failure. Returns 0, or the first_error() after reporting each error. */
int teardown_all(const struct teardown *t);

#endif
