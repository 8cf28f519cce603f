/* SPDX-License-Identifier: GPL-2.0-only */
/* What every subcommand shares: options, messages, cleanup. */
#ifndef SHUNT_H
#define SHUNT_H

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef SHUNT_VERSION
#define SHUNT_VERSION "0.1"
#endif

/* Options that may stand anywhere on the command line. */
struct options {
	bool json;           /* -j */
	bool verbose;        /* -v */
	const char *pin_dir; /* --pin-dir */
};

extern struct options opt;

/*
 * A subcommand: takes the words after its name (argv[0] is the name), prints
 * its own errors, returns 0 or -errno.
 */
typedef int (*command_fn)(int argc, char **argv);

struct command {
	const char *name;
	command_fn run;
	const char *usage; /* what follows the name */
	const char *help;
};

/* Runs the entry of table that words[0] names; NULL name ends the table. */
int run_command(const char *object, const struct command *table, int argc, char **argv);

int cmd_load(int argc, char **argv);
int cmd_unload(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_steer(int argc, char **argv);
int cmd_nat(int argc, char **argv);
int cmd_sockets(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_apply(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_diverter(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_map_update(int argc, char **argv);
int cmd_map_delete_elem(int argc, char **argv);

/* err.c */

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

/* Exit status for what a command returned. */
int exit_code(int error);

/* cleanup */

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_fd_ _cleanup_(close_fd)
#define _cleanup_free_ _cleanup_(free_ptr)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
