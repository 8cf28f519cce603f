/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages on stderr, as text or JSON, and the exit status. */
#ifndef SHUNT_LOG_H
#define SHUNT_LOG_H

#include <stdbool.h>

/* Says that something failed, with the system's reason; returns error, which
 * is a negative errno. */
int fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says that the user's words are wrong; returns -EINVAL. The exit code is 2. */
int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says that the request can't be met as things stand; returns error without
 * adding the system's reason. */
int deny(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Messages are about this line of a file from now on; NULL ends that. */
void message_place(const char *file, unsigned int line);

/* A line on stderr that is no error; nothing with -j. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says that there is no WHAT of these words to be deleted. */
void say_missing(const char *what, int argc, char **argv);

/* A line on stderr, with -j too, of what was done but may not do what is meant. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, with -v only. */
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Does this negative errno say that something ran out here, and nothing of what was
 * asked about? */
bool is_shortage(int error);

/* Exit status for what a command returned. */
int exit_code(int error);

#endif
