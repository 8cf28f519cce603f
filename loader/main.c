// SPDX-License-Identifier: GPL-2.0-only
/* shunt: the command table and the options that may stand anywhere. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cmd/command.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/output.h"

#define BPFFS "/sys/fs/bpf/"
#define PIN_DIR BPFFS "shunt"

struct options opt = {
	.pin_dir = PIN_DIR,
};

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command commands[] = {
	{ "load", cmd_load, "[--cgroup PATH[=proven|eager]]... [--iface NAME]... [--nat NAME]...",
	  "attach the bypass to cgroups, steering and NAT to interfaces" },
	{ "unload", cmd_unload, "[--timeout SEC]",
	  "drain and remove everything; no queued byte is lost" },
	{ "upgrade", cmd_upgrade, "[--check]",
	  "let what is loaded run the programs of this version" },
	{ "run", cmd_run, "[--metrics ADDRESS:PORT]",
	  "the supervisor, in the foreground: promotes pairs, follows interfaces" },
	{ "status", cmd_status, "", "what is attached where, rules, pairs, counters" },
	{ "check", cmd_check, "", "can this kernel and host do it" },
	{ "steer", cmd_steer, "add|del|list|flush|prune|test ...",
	  "rules that assign flows to a transparent listener" },
	{ "apply", cmd_apply, "[--check] FILE",
	  "bring rules, attachments and settings to what a file says" },
	{ "save", cmd_save, "[rules]", "options and rules in force, as apply reads them" },
	{ "diverter", cmd_diverter, "-I|-D|-L|-V ...", "what ziti-router calls for its services" },
	{ "nat", cmd_nat, "add|del|list|flush|flows ...",
	  "rules that send packets to another address and port" },
	{ "sockets", cmd_sockets, "", "pairs: state, why, bytes bypassed, bytes passed" },
	{ "monitor", cmd_monitor, "[--iface NAME]... [--top N] [FILTER]",
	  "flows seen on the interfaces, refreshed every second" },
	{ "metrics", cmd_metrics, "[--openmetrics] [--rules]",
	  "what status knows, for Prometheus" },
	{ "trace", cmd_trace, "on|off|follow", "a line in trace_pipe for each event" },
	{ "version", cmd_version, "", "the version of this program" },
	{ "help", cmd_help, "", "this text" },
	{ NULL, NULL, NULL, NULL },
};

/* The names under which ziti-router and the tproxy splicer's users call. */
static const struct command aliases[] = {
	{ "shunt-diverter", cmd_diverter, NULL, NULL },
	{ "map_update", cmd_map_update, NULL, NULL },
	{ "map_delete_elem", cmd_map_delete_elem, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};

static int cmd_help(int argc, char **argv)
{
	char *help[] = { argc > 1 ? argv[1] : NULL, (char *)"help", NULL };
	const struct command *c;

	if (argc > 1 && strcmp(argv[1], "help"))
		return run_command("", commands, 2, help);
	printf("usage: shunt [-j] [-v] [--pin-dir DIR] COMMAND ...\n\n");
	for (c = commands; c->name; c++)
		printf("  %-8s %s\n           %s\n", c->name, c->usage, c->help);
	printf("\n  -j, --json      print JSON, errors too\n"
	       "  -v, --verbose   say more, with the messages of libbpf\n"
	       "  --pin-dir DIR   where programs and maps are pinned (SHUNT_PIN_DIR in the\n"
	       "                  environment, else %s)\n"
	       "  --version       print the version\n\n"
	       "'shunt COMMAND help' tells more.\n",
	       PIN_DIR);
	return 0;
}

static int cmd_version(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt version\n\nThe version of this program.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("version: unknown word '%s'", argv[1]);
	if (opt.json) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "version", SHUNT_VERSION);
		json_close(&json_stdout, '}');
	} else {
		printf("shunt %s\n", SHUNT_VERSION);
	}
	return 0;
}

static const struct command *find(const struct command *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

int run_command(const char *object, const struct command *table, int argc, char **argv)
{
	const struct command *c;

	if (argc < 1)
		return refuse("%s: a verb is missing; see 'shunt %s%shelp'", object,
			      *object ? object : "", *object ? " " : "");
	c = find(table, argv[0]);
	if (!c)
		return refuse("unknown %s '%s'; see 'shunt%s%s help'", *object ? "verb" : "command",
			      argv[0], *object ? " " : "", object);
	if (*object && c->help && argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt %s %s %s\n\n%s\n", object, c->name, c->usage, c->help);
		return 0;
	}
	return c->run(argc, argv);
}

static int libbpf_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!opt.verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

/* ziti-router takes a bare path, so no option reaches its diverter. */
static void read_environment(void)
{
	const char *dir = getenv("SHUNT_PIN_DIR");

	if (dir && *dir)
		opt.pin_dir = dir;
}

/* Whether a name of this length has a dot, and is neither '.' nor '..'. */
static bool has_dot(const char *name, size_t len)
{
	return memchr(name, '.', len) && strspn(name, ".") < len;
}

/* Refuses a pin directory whose name the bpf file system does not allow. At the usual place each
 * folder is on that file system, elsewhere the last one. */
static int check_pin_dir(void)
{
	const bool usual = !strncmp(opt.pin_dir, BPFFS, strlen(BPFFS));
	const char *name, *next;
	size_t len;

	for (name = opt.pin_dir; *name; name = next) {
		len = strcspn(name, "/");
		next = name + len + strspn(name + len, "/");
		if ((usual || !*next) && has_dot(name, len))
			return refuse("%s '%s': the bpf file system allows no dot in a name",
				      opt.pin_dir == getenv("SHUNT_PIN_DIR") ? "SHUNT_PIN_DIR"
									     : "--pin-dir",
				      opt.pin_dir);
	}
	return 0;
}

/* Takes the global options out of argv; returns the new argc or -EINVAL. */
static int take_options(int argc, char **argv)
{
	int i, kept = 1;

	for (i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (!strcmp(a, "-j") || !strcmp(a, "--json")) {
			opt.json = true;
		} else if (!strcmp(a, "-v") || !strcmp(a, "--verbose")) {
			opt.verbose = true;
		} else if (!strcmp(a, "--pin-dir")) {
			if (++i == argc)
				return refuse("--pin-dir: a directory is missing");
			opt.pin_dir = argv[i];
		} else if (!strcmp(a, "--help")) {
			argv[kept++] = (char *)"help";
		} else {
			argv[kept++] = argv[i];
		}
	}
	argv[kept] = NULL;
	return check_pin_dir() ?: kept;
}

/* What a command returned; output that was lost on its way is a failure too. */
static int finish_output(int error)
{
	errno = 0;
	if (output_finish())
		return error;
	return error ? error : fail(errno ? -errno : -EIO, "stdout");
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const struct command *alias;
	char *status[] = { (char *)"status", NULL };
	int error;

	base = base ? base + 1 : argv[0];
	alias = find(aliases, base);
	read_environment();
	argc = take_options(argc, argv);
	if (argc < 0)
		return exit_code(argc);
	libbpf_set_print(libbpf_message);
	if (alias)
		return exit_code(finish_output(alias->run(argc, argv)));
	if (argc > 1 && !strcmp(argv[1], "--version"))
		argv[1] = (char *)"version";
	if (argc > 1 && !strcmp(argv[1], "-h"))
		argv[1] = (char *)"help";
	error = argc > 1 ? run_command("", commands, argc - 1, argv + 1) : cmd_status(1, status);
	return exit_code(finish_output(error));
}
