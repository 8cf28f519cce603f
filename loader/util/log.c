// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

static bool usage_error;
static bool listing;             /* errors are members of a JSON array */
static const char *current_file; /* that is being read; NULL: none */
static unsigned int current_line;

void log_set_file_position(const char *file, unsigned int line)
{
	current_file = file;
	current_line = line;
}

void log_list_errors(bool list)
{
	listing = list;
}

/* Prints an error. reason may be NULL. */
static void print_error(const char *fmt, va_list args, const char *reason)
{
	char text[1024] = "";
	size_t len;

	if (current_file)
		snprintf(text, sizeof(text), "%s:%u: ", current_file, current_line);
	len = strlen(text);
	vsnprintf(text + len, sizeof(text) - len, fmt, args);
	len = strlen(text);
	if (reason)
		snprintf(text + len, sizeof(text) - len, ": %s", reason);
	if (opt.json && listing) {
		json_string(&json_stdout, NULL, text);
		return;
	}
	/* In the middle of a JSON document an error object would make it invalid. */
	if (opt.json && !json_stdout.depth) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "error", text);
		json_close(&json_stdout, '}');
	} else {
		fprintf(stderr, "shunt: %s\n", printable(text));
	}
}

int fail(int error, const char *fmt, ...)
{
	va_list args;

	if (!error)
		error = -EIO; /* a caller must not take the failure for success */
	va_start(args, fmt);
	print_error(fmt, args, strerror(-error));
	va_end(args);
	return error;
}

int refuse(const char *fmt, ...)
{
	va_list args;

	usage_error = true;
	va_start(args, fmt);
	print_error(fmt, args, NULL);
	va_end(args);
	return -EINVAL;
}

int deny(int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_error(fmt, args, NULL);
	va_end(args);
	return error;
}

static void print_line(const char *kind, const char *fmt, va_list args)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "shunt: %s%s\n", kind, printable(text));
}

void say(const char *fmt, ...)
{
	va_list args;

	if (opt.json)
		return;
	va_start(args, fmt);
	print_line("", fmt, args);
	va_end(args);
}

void say_missing(const char *what, int argc, char **argv)
{
	char words[512] = "";
	size_t len = 0;
	int i;

	for (i = 0; i < argc && len < sizeof(words); i++)
		len += snprintf(words + len, sizeof(words) - len, " %s", argv[i]);
	say("no such %s:%s; nothing to delete", what, words);
}

void warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_line("warning: ", fmt, args);
	va_end(args);
}

void debug(const char *fmt, ...)
{
	va_list args;

	if (!opt.verbose)
		return;
	va_start(args, fmt);
	print_line("", fmt, args);
	va_end(args);
}

bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
	       error == -EAGAIN || error == -EINTR;
}

int exit_code(int error)
{
	if (!error)
		return 0;
	return usage_error ? 2 : 1;
}
