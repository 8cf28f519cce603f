/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests what this kernel really does with sockets on the fast path. */
#ifndef SHUNT_SELFTEST_H
#define SHUNT_SELFTEST_H

#include <stdbool.h>

struct selftest {
	const char *name;
	bool fionread;         /* tests FIONREAD */
	bool required;         /* a kernel that fails would lose or reorder data */
	const char *pass_text; /* printed if the kernel passes */
	const char *fail_text; /* printed if it fails, with advice */
	const char *advice;
	bool (*passes)(void);
};

/* All tests; an entry without a name ends the table. */
extern const struct selftest selftests[];

/* Loads the programs for the tests, which use sockets of this process on 127.0.0.1. Returns 0, or
 * -errno after reporting it. */
int selftest_open(void);
void selftest_close(void);

/* Runs one test, between selftest_open() and selftest_close(). Returns whether the kernel passes. */
bool selftest_passes(const struct selftest *t);

/* Runs the tests that load needs: those of FIONREAD, and with required those of lost data. Sets
 * *ret_fionread to whether FIONREAD is correct. Returns 0, -ENOTSUP after reporting a required
 * test that fails, with way_out at the end of the message, or another -errno after reporting it. */
int selftest_run_for_load(bool required, const char *way_out, bool *ret_fionread);

#endif
