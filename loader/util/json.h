/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small JSON writer. It writes commas, and a newline after the outermost bracket. Names
 * are NULL inside arrays. Texts may hold any bytes: the output is UTF-8.
 */
#ifndef SHUNT_JSON_H
#define SHUNT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_writer {
	FILE *out;          /* NULL: stdout, whatever that is at the moment */
	unsigned int depth; /* open brackets */
	bool has_member;    /* the innermost bracket holds something */
};

/* The document on stdout. */
extern struct json_writer json_stdout;

void json_open(struct json_writer *w, char bracket);
void json_open_in(struct json_writer *w, const char *name, char bracket);
void json_close(struct json_writer *w, char bracket);
void json_string(struct json_writer *w, const char *name, const char *value);
void json_number(struct json_writer *w, const char *name, uint64_t value);
void json_bool(struct json_writer *w, const char *name, bool value);
void json_null(struct json_writer *w, const char *name);

#endif
