// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>

#include "util/json.h"
#include "util/text.h"

struct json_writer json_stdout;

/* Bytes that are not UTF-8 become U+FFFD. Control characters are written as \u escapes, because
 * JSON is shown on terminals, too. */
static void write_quoted(FILE *f, const char *s)
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
			fprintf(f, "\\u%04x",
				length == 1   ? c[0]
				: length == 2 ? c[1]
					      : 0x2000 | (c[1] & 0x3f) << 6 | (c[2] & 0x3f));
		} else {
			fwrite(s, 1, length, f);
		}
	}
	fputc('"', f);
}

static FILE *out(const struct json_writer *w)
{
	return w->out ? w->out : stdout;
}

/* Writes the comma and the name before a value. */
static void begin_value(struct json_writer *w, const char *name)
{
	if (w->has_member)
		fputc(',', out(w));
	w->has_member = true;
	if (name) {
		write_quoted(out(w), name);
		fputc(':', out(w));
	}
}

void json_open(struct json_writer *w, char bracket)
{
	json_open_in(w, NULL, bracket);
}

void json_open_in(struct json_writer *w, const char *name, char bracket)
{
	begin_value(w, name);
	fputc(bracket, out(w));
	w->has_member = false;
	w->depth++;
}

void json_close(struct json_writer *w, char bracket)
{
	fputc(bracket, out(w));
	w->has_member = true;
	if (--w->depth == 0) {
		fputc('\n', out(w));
		w->has_member = false;
	}
}

void json_string(struct json_writer *w, const char *name, const char *value)
{
	begin_value(w, name);
	write_quoted(out(w), value);
}

void json_number(struct json_writer *w, const char *name, uint64_t value)
{
	begin_value(w, name);
	fprintf(out(w), "%llu", (unsigned long long)value);
}

void json_bool(struct json_writer *w, const char *name, bool value)
{
	begin_value(w, name);
	fputs(value ? "true" : "false", out(w));
}

void json_null(struct json_writer *w, const char *name)
{
	begin_value(w, name);
	fputs("null", out(w));
}
