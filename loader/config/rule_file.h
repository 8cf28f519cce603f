/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rule files: a rule on each line, in the words that follow 'shunt steer add',
 * or nat and those that follow 'shunt nat add'. What follows a # that begins a
 * word is a comment. A line may also name an option of 'shunt load', without
 * its dashes: 'iface eth0'.
 */
#ifndef SHUNT_RULE_FILE_H
#define SHUNT_RULE_FILE_H

#include <stdbool.h>

#include "rules/rule.h"

struct rule_line {
	struct shunt_rule rule;
	unsigned int number;
};

struct rule_file {
	const char *name;
	struct rule_line *line;
	const struct shunt_rule **rule; /* the same, one by one */
	__u32 count;
	struct rule_line *shadow; /* shadowed rules, the newest first */
	__u32 shadows;
	struct shunt_nat_rule *nat;
	unsigned int *nat_line; /* one for each */
	__u32 nats;
	/* the options, as they would be on the command line */
	char **option;
	int options;
	unsigned int *option_line; /* one for each two */
};

/* Reads a file, '-' for stdin. Two rules with the same match are an error.
 * 0 or -errno, said with the line. */
int rule_file_read(const char *name, struct rule_file *ret);
void rule_file_free(struct rule_file *f);

#define _cleanup_rules_ _cleanup_(rule_file_free)

/* Has it a rule for what this host sends? */
bool rule_file_is_local(const struct rule_file *f);

#endif
