/* SPDX-License-Identifier: GPL-2.0-only */
/* What this kernel really does with sockets on the fast path. */
#ifndef SHUNT_SELFTEST_H
#define SHUNT_SELFTEST_H

#include <stdbool.h>

struct selftest {
	const char *name;
	bool fionread;    /* it is about FIONREAD */
	bool must;        /* data would be lost or reordered otherwise */
	const char *good; /* what is said when it holds */
	const char *bad;  /* and when it does not */
	const char *advice;
	bool (*holds)(void);
};

/* All of them; a NULL name ends the table. */
extern const struct selftest selftests[];

/* Loads the programs for the tests, on sockets of our own on 127.0.0.1; 0 or
 * -errno, said. */
int selftest_open(void);
void selftest_close(void);

/* Runs one; the programs have to be loaded. */
bool selftest_holds(const struct selftest *t);

/* What load wants to know: 0, or -ENOTSUP, said, if one that must hold does
 * not and must is set; *ret_fionread: does FIONREAD answer rightly? */
int selftest_load(bool must, bool *ret_fionread);

#endif
