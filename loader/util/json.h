/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small JSON writer. It adds the commas, and a newline after the outermost bracket. A name is
 * NULL inside an array. Texts may hold any bytes: the output is UTF-8.
 */
#ifndef SHUNT_JSON_H
#define SHUNT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_writer {
	FILE *out;          /* NULL: stdout as it is at each call (output.h may change it) */
	unsigned int depth; /* open brackets */
	bool has_member;    /* the innermost bracket holds a value already */
};

/* The document on stdout. */
extern struct json_writer json_stdout;

/* Open an object ('{') or an array ('['); the second one is a member of that name. */
void json_open(struct json_writer *w, char bracket);
void json_open_in(struct json_writer *w, const char *name, char bracket);

/* Closes the innermost one with '}' or ']'. */
void json_close(struct json_writer *w, char bracket);

/* Write one member. */
void json_string(struct json_writer *w, const char *name, const char *value);
void json_number(struct json_writer *w, const char *name, uint64_t value);
void json_bool(struct json_writer *w, const char *name, bool value);
void json_null(struct json_writer *w, const char *name);

#endif
