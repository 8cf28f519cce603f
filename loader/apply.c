// SPDX-License-Identifier: GPL-2.0-only
/* shunt apply, shunt save: all rules as a file. */
#include <stdio.h>
#include <string.h>

#include "local.h"
#include "pins.h"
#include "rulefile.h"
#include "rules.h"
#include "shunt.h"

static int apply_help(void)
{
	puts("usage: shunt apply FILE\n\n"
	     "Makes the rules of FILE ('-': of standard input) the rules in force, in one step.\n"
	     "Rules that stay keep their counters and their flows. With an error in any line\n"
	     "nothing changes.\n\n"
	     "A line has the words that follow 'shunt steer add'; # begins a comment. Lines such\n"
	     "as 'iface eth0' are options for 'shunt load --config FILE'; apply skips them.");
	return 0;
}

int cmd_apply(int argc, char **argv)
{
	_cleanup_rules_ struct rule_file f = {};
	_cleanup_fd_ int lock = -1;
	int error;

	if (argc < 2)
		return refuse("apply: a file is missing; '-' reads standard input");
	if (argc > 2)
		return refuse("apply: '%s' is one word too many", argv[2]);
	if (!strcmp(argv[1], "help"))
		return apply_help();
	home_netns(); /* interfaces of rules are looked up there */
	error = rule_file_read(argv[1], &f);
	if (error)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	if (rule_file_is_local(&f))
		error = local_begin();
	return error ? error : rule_file_apply(&f);
}

static int save_help(void)
{
	puts("usage: shunt save\n\n"
	     "Prints the rules in force as 'shunt apply' reads them.");
	return 0;
}

int cmd_save(int argc, char **argv)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_fd_ int lock = -1;
	char text[RULE_TEXT];
	__u32 i, count = 0;
	int error;

	if (argc > 1 && !strcmp(argv[1], "help"))
		return save_help();
	if (argc > 1)
		return refuse("save: '%s' is one word too many", argv[1]);
	lock = rules_lock();
	if (lock < 0)
		return lock;
	error = rules_sorted(&all, &count);
	if (error)
		return error;
	printf("# shunt %s: %u rules\n", SHUNT_VERSION, count);
	for (i = 0; i < count; i++) {
		rule_format(all[i], text, sizeof(text));
		puts(text);
	}
	return 0;
}
