// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>

#include "util/json.h"

static int depth;
static bool first = true;

static void quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void lead(FILE *f, const char *name)
{
	if (!first)
		fputc(',', f);
	first = false;
	if (name) {
		quoted(f, name);
		fputc(':', f);
	}
}

void json_open(FILE *f, char bracket)
{
	json_open_in(f, NULL, bracket);
}

void json_open_in(FILE *f, const char *name, char bracket)
{
	lead(f, name);
	fputc(bracket, f);
	first = true;
	depth++;
}

void json_close(FILE *f, char bracket)
{
	fputc(bracket, f);
	first = false;
	if (--depth == 0) {
		fputc('\n', f);
		first = true;
	}
}

void json_string(FILE *f, const char *name, const char *value)
{
	lead(f, name);
	quoted(f, value);
}

void json_number(FILE *f, const char *name, uint64_t value)
{
	lead(f, name);
	fprintf(f, "%llu", (unsigned long long)value);
}

void json_bool(FILE *f, const char *name, bool value)
{
	lead(f, name);
	fputs(value ? "true" : "false", f);
}
