/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands, and how a table of them is run. */
#ifndef SHUNT_COMMAND_H
#define SHUNT_COMMAND_H

/* A subcommand: argv[0] is its name, the words follow. Returns 0, or -errno after reporting it. */
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
int cmd_upgrade(int argc, char **argv);
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

#endif
