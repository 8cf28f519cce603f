/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages on stderr, as text or JSON, and the exit status. */
#ifndef SHUNT_LOG_H
#define SHUNT_LOG_H

#include <stdbool.h>

/* Reports that something failed, with the system's reason. Returns error, a negative errno;
 * -EIO if that is 0. */
int fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Reports that the words of the command are wrong. Returns -EINVAL, and makes the exit status 2. */
int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Reports that the request can't be met as things stand, without the system's reason. Returns
 * error. */
int deny(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From now on, errors begin with this line of a file; NULL ends that. */
void log_set_file_position(const char *file, unsigned int line);

/* From now on, with -j, errors are members of the array that is open. */
void log_list_errors(bool list);

/* Prints a line on stderr that is no error; nothing with -j. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints that no WHAT of these words exists, so there is nothing to delete. */
void say_missing(const char *what, int argc, char **argv);

/* Prints a warning on stderr, with -j too: the command succeeded, but may not have the effect
 * that the user wants. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line on stderr with -v only. */
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whether this negative errno means that the process lacks memory, file descriptors or the
 * like. Then the call that failed tells nothing about the object that it was about. */
bool is_shortage(int error);

/* The exit status for the value that a command returned: 0, 1, or 2 after refuse(). */
int exit_code(int error);

#endif
