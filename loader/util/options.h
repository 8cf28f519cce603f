/* SPDX-License-Identifier: GPL-2.0-only */
/* The options that every subcommand has. */
#ifndef SHUNT_OPTIONS_H
#define SHUNT_OPTIONS_H

#include <stdbool.h>

/* Options that may stand anywhere on the command line. */
struct options {
	bool json;           /* -j */
	bool verbose;        /* -v */
	const char *pin_dir; /* --pin-dir */
};

extern struct options opt;

#endif
