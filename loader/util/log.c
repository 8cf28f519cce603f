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
static const char *place; /* a file that is being read, NULL if none */
static unsigned int place_line;

void message_place(const char *file, unsigned int line)
{
	place = file;
	place_line = line;
}

static void message(const char *fmt, va_list args, const char *reason)
{
	char text[1024] = "";
	size_t len;

	if (place)
		snprintf(text, sizeof(text), "%s:%u: ", place, place_line);
	len = strlen(text);
	vsnprintf(text + len, sizeof(text) - len, fmt, args);
	len = strlen(text);
	if (reason)
		snprintf(text + len, sizeof(text) - len, ": %s", reason);
	/* Inside of an open document an error object would not be JSON. */
	if (opt.json && !json_stdout.depth) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "error", text);
		json_close(&json_stdout, '}');
	} else {
		fprintf(stderr, "shunt: %s\n", plain(text));
	}
}

int fail(int error, const char *fmt, ...)
{
	va_list args;

	if (!error)
		error = -EIO; /* what failed is never taken for done */
	va_start(args, fmt);
	message(fmt, args, strerror(-error));
	va_end(args);
	return error;
}

int refuse(const char *fmt, ...)
{
	va_list args;

	usage_error = true;
	va_start(args, fmt);
	message(fmt, args, NULL);
	va_end(args);
	return -EINVAL;
}

int deny(int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message(fmt, args, NULL);
	va_end(args);
	return error;
}

static void note(const char *kind, const char *fmt, va_list args)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "shunt: %s%s\n", kind, plain(text));
}

void say(const char *fmt, ...)
{
	va_list args;

	if (opt.json)
		return;
	va_start(args, fmt);
	note("", fmt, args);
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
	note("warning: ", fmt, args);
	va_end(args);
}

void debug(const char *fmt, ...)
{
	va_list args;

	if (!opt.verbose)
		return;
	va_start(args, fmt);
	note("", fmt, args);
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
