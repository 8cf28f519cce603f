/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rule files. A line has the words that follow 'shunt steer add', or the word nat and the words
 * that follow 'shunt nat add', or an option of 'shunt load' without its dashes: 'iface eth0'. A
 * word that begins with # begins a comment.
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
	const struct shunt_rule **rule; /* pointers to the rules of line[] */
	__u32 count;
	struct rule_line *shadow; /* shadowed rules, the newest first */
	__u32 shadows;
	struct shunt_nat_rule *nat;
	unsigned int *nat_line; /* the line of each NAT rule */
	__u32 nats;
	/* the options as words of a command line: name, value, name, value … */
	char **option;
	int options;
	unsigned int *option_line; /* the line of each option: one for two words */
	bool all_errors;           /* go on after an error in a line */
};

/* Reads a file; '-' is stdin. Two rules with the same match are an error. Returns 0, or -errno
 * after reporting it with the line. */
int rule_file_read(const char *name, struct rule_file *ret);

/* The same, but reports the errors of all lines. Returns the first one. *ret has the lines without an
 * error. */
int rule_file_check(const char *name, struct rule_file *ret);

/* Adds a rule that no line has; it is shadowed if r->shadowed says so. Returns 0, or -errno after
 * reporting it. */
int rule_file_add(struct rule_file *f, const struct shunt_rule *r);

void rule_file_free(struct rule_file *f);

#define _cleanup_rules_ _cleanup_(rule_file_free)

/* Cuts a line into words, up to a comment. Returns their number, or -EINVAL after reporting it. */
#define RULE_FILE_WORDS 64
int rule_file_split(char *line, char *word[RULE_FILE_WORDS]);

/* Whether an option of the file names an attachment. */
bool rule_file_attaches(const struct rule_file *f);

/* The line of the last option of this name; 0 if there is none. */
unsigned int rule_file_line_of(const struct rule_file *f, const char *option);

/* Whether the file has a rule with 'origin local'. */
bool rule_file_is_local(const struct rule_file *f);

#endif
