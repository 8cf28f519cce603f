// SPDX-License-Identifier: GPL-2.0-only
/* shunt trace: the lines in trace_pipe, one for each event. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/trace.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

#define TRACEFS "/sys/kernel/tracing"

static bool tracefs_mounted(char *ret, size_t size)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (!found && mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "tracefs")) {
			snprintf(ret, size, "%s", m->mnt_dir);
			found = true;
		}
	if (mounts)
		endmntent(mounts);
	return found;
}

bool tracing_is_off(char *ret, size_t size)
{
	char dir[4096], path[4200];
	FILE *f = NULL;
	int on = 1;

	if (tracefs_mounted(dir, sizeof(dir))) {
		snprintf(path, sizeof(path), "%s/tracing_on", dir);
		f = fopen(path, "re");
	}
	if (!f)
		return false;
	if (fscanf(f, "%d", &on) == 1 && !on)
		snprintf(ret, size, "%s", path);
	fclose(f);
	return !on;
}

static void warn_if_off(void)
{
	char path[4200];

	if (tracing_is_off(path, sizeof(path)))
		warn("tracing is switched off in the kernel, and no line will come; "
		     "'echo 1 >%s' switches it on",
		     path);
}

static int set(bool on)
{
	_cleanup_lock_ int lock = pins_lock(false);
	bool changed = false;
	struct shunt_conf *conf;
	int half;

	if (lock == -ENOENT)
		return report_not_loaded();
	if (lock < 0)
		return lock;
	for (half = 0; half < HALVES; half++) {
		conf = pin_mmap(half, "shunt_conf", NULL);
		if (!conf && errno != ENOENT)
			return fail(-errno, "can't map the settings of %s", half_name(half));
		if (!conf)
			continue;
		changed |= !!conf->run.trace != on;
		conf->run.trace = on;
	}
	if (!changed)
		say("trace is %s already", on ? "on" : "off");
	if (on)
		warn_if_off();
	return 0;
}

static int trace_on(int argc, char **argv)
{
	return argc > 1 ? refuse("trace on: unknown word '%s'", argv[1]) : set(true);
}

static int trace_off(int argc, char **argv)
{
	return argc > 1 ? refuse("trace off: unknown word '%s'", argv[1]) : set(false);
}

static int tracefs_dir(char *ret, size_t size)
{
	if (tracefs_mounted(ret, size))
		return 0;
	if (mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return fail(-errno, "can't mount tracefs at '%s'", TRACEFS);
	snprintf(ret, size, "%s", TRACEFS);
	return 0;
}

/* Finds the event in a line of trace_pipe; NULL if the line is not of shunt. A line begins with the
 * name of a process. That name may be any text, but is too short to contain what the kernel
 * writes before the text of a program. */
static char *event_in(char *line)
{
	static const char before[] = "bpf_trace_printk: shunt: ";
	char *event = strstr(line, before);

	if (!event)
		return NULL;
	event[strcspn(event, "\n")] = '\0';
	return event + strlen(before) - strlen("shunt: ");
}

/* The kernel prints IPv6 addresses in full: [0000:…:0001] becomes [::1]. */
static void print_event(const char *line)
{
	struct in6_addr addr;
	char text[INET6_ADDRSTRLEN], word[40];
	const char *end;

	while (*line) {
		end = *line == '[' ? strchr(line, ']') : NULL;
		if (end && end - line - 1 == 39) {
			memcpy(word, line + 1, 39);
			word[39] = '\0';
			if (inet_pton(AF_INET6, word, &addr) == 1) {
				inet_ntop(AF_INET6, &addr, text, sizeof(text));
				printf("[%s]", text);
				line = end + 1;
				continue;
			}
		}
		putchar(*line++);
	}
	putchar('\n');
}

static int trace_follow(int argc, char **argv)
{
	char dir[4096], path[4200], line[1024];
	const char *event;
	FILE *pipe;
	int error, fd;

	if (argc > 1)
		return refuse("trace follow: unknown word '%s'", argv[1]);
	if (geteuid())
		return deny(-EPERM, "this needs root");
	error = tracefs_dir(dir, sizeof(dir));
	if (error)
		return error;
	snprintf(path, sizeof(path), "%s/trace_pipe", dir);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return deny(-EBUSY, "another program reads '%s', and only one can", path);
	if (fd < 0)
		return fail(-errno, "can't open '%s'", path);
	/* Skip the events from before. */
	while (read(fd, line, sizeof(line)) > 0)
		;
	fcntl(fd, F_SETFL, 0);
	pipe = fdopen(fd, "r");
	if (!pipe)
		return fail(-errno, "can't open '%s'", path);
	warn_if_off();
	while (fgets(line, sizeof(line), pipe)) {
		event = event_in(line);
		if (!event)
			continue;
		if (opt.json) {
			json_open(&json_stdout, '{');
			json_string(&json_stdout, "event", event + 7);
			json_close(&json_stdout, '}');
		} else {
			print_event(printable(event));
		}
		fflush(stdout);
	}
	error = ferror(pipe) ? fail(-errno, "can't read '%s'", path) : 0;
	fclose(pipe);
	return error;
}

static int trace_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("usage: shunt trace on|off|follow\n\n"
	       "  on      write a line to trace_pipe for each pair, bypassed message and steered flow\n"
	       "  off     stop that\n"
	       "  follow  print those lines as they come, until interrupted\n");
	return 0;
}

int cmd_trace(int argc, char **argv)
{
	static const struct command verbs[] = {
		{ "on", trace_on, NULL, NULL },
		{ "off", trace_off, NULL, NULL },
		{ "follow", trace_follow, NULL, NULL },
		{ "help", trace_help, NULL, NULL },
		{ NULL, NULL, NULL, NULL },
	};

	return run_command("trace", verbs, argc - 1, argv + 1);
}
