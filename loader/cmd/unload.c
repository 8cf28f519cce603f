// SPDX-License-Identifier: GPL-2.0-only
/* shunt unload: drains, then removes everything that load made. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/leftovers.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/teardown.h"
#include "rules/rule.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/parse.h"

#define DEFAULT_SEC 10
#define MAX_SEC 86400

static int parse_timeout(int argc, char **argv, unsigned int *ret_ms)
{
	unsigned int sec = DEFAULT_SEC;

	if (argc > 1 && strcmp(argv[1], "--timeout"))
		return refuse("unload: unknown word '%s'; see 'shunt unload help'", argv[1]);
	if (argc == 2)
		return refuse("unload: --timeout: a value is missing");
	if (argc > 3)
		return refuse("unload: unknown word '%s'", argv[3]);
	if (argc == 3 && !parse_number(argv[2], MAX_SEC, &sec))
		return refuse("--timeout '%s': not a number of seconds from 0 to %d", argv[2],
			      MAX_SEC);
	*ret_ms = sec * 1000;
	return 0;
}

int cmd_unload(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	unsigned int timeout_ms = 0;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt unload [--timeout SEC]\n\n"
		       "Removes everything from the host. Bytes that wait on the fast path are read first.\n"
		       "If sockets still hold such bytes after SEC seconds (%d), they are listed and stay\n"
		       "usable, and the exit status is 1; unload again when the bytes are read.\n",
		       DEFAULT_SEC);
		return 0;
	}
	error = parse_timeout(argc, argv, &timeout_ms);
	if (error)
		return error;
	lock = pins_lock(false);
	if (lock == -ENOENT) {
		error = pins_check_reachable();
		if (error)
			return error;
		say("nothing is loaded in '%s'", opt.pin_dir);
		return leftovers_remove();
	}
	if (lock < 0)
		return lock;
	error = teardown(timeout_ms);
	return error ? error : pins_remove();
}
