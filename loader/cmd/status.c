// SPDX-License-Identifier: GPL-2.0-only
/* shunt status: what is attached where, rules, pairs, counters. */
#include "cmd/status.h"

#include <stdio.h>
#include <string.h>

#include "bpf/pins.h"
#include "cmd/command.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

const char *status_admit_text(unsigned int admit)
{
	return admit == SHUNT_EAGER ? "eager" : "proven";
}

int cmd_status(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_(status_free) struct status s = {};
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt status\n\n"
		       "Prints what is attached where, the rules in force, pairs and counters. The counters\n"
		       "begin at load.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("status: unknown word '%s'", argv[1]);
	error = status_read(&s, &lock);
	if (error)
		return error;
	if (opt.json)
		status_print_json(&s);
	else
		status_print_text(&s);
	return 0;
}
