// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>

#include "util/json.h"
#include "util/text.h"

static int depth;
static bool first = true;

/* JSON is UTF-8: what is none becomes U+FFFD. The code points of control characters are
 * written out, for JSON is shown on terminals, too. */
static void quoted(FILE *f, const char *s)
{
	size_t length;

	fputc('"', f);
	for (; *s; s += length) {
		const unsigned char *c = (const unsigned char *)s;

		length = utf8_length(s);
		if (!length) {
			fputs("\\ufffd", f);
			length = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(f, "\\%c", *s);
		} else if (is_control(s, length)) {
			fprintf(f, "\\u%04x", length == 1 ? c[0] : length == 2 ? c[1] :
				0x2000 | (c[1] & 0x3f) << 6 | (c[2] & 0x3f));
		} else {
			fwrite(s, 1, length, f);
		}
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
