/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small JSON writer. Commas and the newline after the outermost bracket are
 * its business; names are NULL inside arrays.
 */
#ifndef SHUNT_JSON_H
#define SHUNT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void json_open(FILE *f, char bracket);
void json_open_in(FILE *f, const char *name, char bracket);
void json_close(FILE *f, char bracket);
void json_string(FILE *f, const char *name, const char *value);
void json_number(FILE *f, const char *name, uint64_t value);
void json_bool(FILE *f, const char *name, bool value);

#endif
