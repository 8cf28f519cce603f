// SPDX-License-Identifier: GPL-2.0-only
/* shunt status: what is attached where, rules, pairs, counters. */
#include "cmd/status.h"

#include <arpa/inet.h>
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

void status_exclude_text(const struct shunt_exclude *x, char *text, size_t size)
{
	char addr[64];

	if (x->kind == EXCLUDE_PORT && x->low == x->high)
		snprintf(text, size, "port:%u", x->low);
	else if (x->kind == EXCLUDE_PORT)
		snprintf(text, size, "port:%u-%u", x->low, x->high);
	else if (x->kind == EXCLUDE_PROCESS)
		snprintf(text, size, "process:%s", x->comm);
	else
		snprintf(text, size, "%s/%u", inet_ntop(x->family, x->addr, addr, sizeof(addr)),
			 x->len);
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
