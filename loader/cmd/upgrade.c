// SPDX-License-Identifier: GPL-2.0-only
/*
 * shunt upgrade: what is loaded runs the programs of this build from now on. Maps, links and settings
 * stay. docs/internals/upgrade.md has the steps, and what a kill leaves at each.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "attach/next_links.h"
#include "bpf/kept_maps.h"
#include "bpf/kernel_features.h"
#include "bpf/next.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "bpf/selftest.h"
#include "bypass/lingering.h"
#include "cmd/command.h"
#include "cmd/next_half.h"
#include "config/defaults.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"

struct upgrade {
	bool loaded[HALVES];
	bool is_new[HALVES];   /* something differs from what is loaded */
	bool kept[HALVES];     /* the maps go on; false: a bypass whose pairs begin anew */
	bool switched[HALVES]; /* links run the next programs */
	bool served[HALVES];   /* 'shunt run' gave its heartbeat before */
	struct old_conf old[HALVES];
};

/* --- what is there ------------------------------------------------------------------------- */

static int find_half(struct upgrade *u, enum half half)
{
	int error;

	conf_defaults(&u->old[half].conf);
	error = old_conf_read(half, &u->old[half]);
	if (error)
		return error == -ENOENT ? 0 : error;
	if (!u->old[half].conf.run.loaded)
		return deny(-EBUSY,
			    "%s is not loaded to its end; 'shunt unload %s' with the version that "
			    "loaded it",
			    half_name(half), half_name(half));
	u->loaded[half] = true;
	u->served[half] = supervisor_is_running(half) &&
			  supervisor_has_heartbeat(&u->old[half].conf);
	error = netns_enter_of(&u->old[half].conf);
	if (error == -ENOENT)
		return netns_report_gone();
	return error ? fail(error, "can't look for the network namespace that shunt was loaded in")
		     : 0;
}

static int find_halves(struct upgrade *u)
{
	bool any = false;
	int half, error;

	for (half = 0; half < HALVES; half++) {
		error = find_half(u, half);
		if (error)
			return error;
		any |= u->loaded[half];
	}
	return any ? 0 : report_not_loaded();
}

/* --- prepare: the next programs are loaded and pinned, and nothing runs them --------------------- */

/* What this kernel does wrong with sockets on the fast path. Takes a second. */
static int test_kernel(struct shunt_conf *conf, const struct shunt_attachment *attachments)
{
	bool eager = false, fionread = true;
	int i, error;

	for (i = 0; attachments && i < SHUNT_ATTACHMENTS; i++)
		eager |= attachments[i].kind == ATTACH_CGROUP &&
			 attachments[i].admit == SHUNT_EAGER;
	error = selftest_run_for_load(eager, "unload and 'load --force' overrule", &fionread);
	conf->fionread_faulty = !fionread;
	return error;
}

/* Writes the settings of a half whose settings are in a new map. */
static int write_conf(const struct upgrade *u, enum half half)
{
	struct shunt_conf *conf = pin_mmap(half_next(half), "shunt_conf", NULL);

	if (!conf)
		return fail(-errno, "can't map the settings of %s", half_name(half_next(half)));
	if (pin_map_id(half, "shunt_conf") == pin_map_id(half_next(half), "shunt_conf"))
		return 0;
	*conf = u->old[half].conf;
	conf->abi = SHUNT_ABI;
	conf->recv_flags_reported = kernel_reports_recv_flags();
	if (!u->kept[half])
		conf->run = (struct shunt_runtime){ .trace = conf->run.trace };
	conf->run.loaded = 0;
	return 0;
}

static void close_programs(struct shunt_bpf **skel)
{
	programs_close(*skel);
}

/* The programs stay loaded because they are pinned. Their file descriptors are closed, so that there are enough
 * for the links, also if an error has to be undone. */
static int prepare(struct upgrade *u, enum half half)
{
	_cleanup_(close_programs) struct shunt_bpf *skel = NULL;
	const struct program_set set = {
		.bypass = half == HALF_BYPASS,
		.steer = half == HALF_STEER,
		.monitor = half == HALF_MONITOR,
		.nat = half == HALF_NAT,
		.flow_buckets = pin_map_entries(half, "shunt_udp_flows"),
		.nat_flows = pin_map_entries(half, "shunt_nat_queue"),
	};
	int error = programs_open_next(half, &set, &skel, &u->kept[half]);

	if (error)
		return error;
	error = programs_pin_next(half, skel);
	if (error)
		return error;
	error = half == HALF_BYPASS ? test_kernel(&u->old[half].conf, attachments_next_map()) : 0;
	if (error)
		return error;
	u->is_new[half] = !programs_equal(half, half_next(half)) || !u->old[half].same_shape ||
			  u->old[half].conf.abi != SHUNT_ABI || !u->kept[half];
	return write_conf(u, half);
}

static int prepare_all(struct upgrade *u)
{
	int half, error = 0;

	for (half = 0; half < HALVES && !error; half++)
		error = u->loaded[half] ? prepare(u, half) : 0;
	return error;
}

/* --- switch: what is attached runs the next programs ----------------------------------------------- */

static int switch_all(struct upgrade *u)
{
	int half, error;

	for (half = 0; half < HALVES; half++) {
		if (!u->is_new[half])
			continue;
		u->switched[half] = true;
		error = half_switch(half, half_next(half));
		if (error)
			return error;
		error = links_pin_next(half);
		if (error)
			return error;
	}
	return attachments_next_install();
}

/* What was loaded goes on as before. */
static void revert(struct upgrade *u)
{
	int half;

	for (half = 0; half < HALVES; half++) {
		if (u->switched[half])
			remove_next(half);
		else if (u->loaded[half]) /* nothing runs the next programs */
			remove_half(half_next(half));
	}
	attachments_next_remove();
}

/* --- finish: the folders change their names ------------------------------------------------------ */

static int exchange(struct upgrade *u, enum half half)
{
	struct shunt_conf *conf = pin_mmap(half_next(half), "shunt_conf", NULL);

	if (!conf)
		return fail(-errno, "can't map the settings of %s", half_name(half));
	conf->abi = SHUNT_ABI;
	if (half == HALF_BYPASS)
		conf->fionread_faulty = u->old[half].conf.fionread_faulty;
	conf->run.loaded = 1;
	return next_exchange(half);
}

static int finish(struct upgrade *u, enum half half)
{
	int error = exchange(u, half);

	if (error) {
		half_switch(half, half);
		return error;
	}
	/* Now the former half has the name of the next. Its supervisor lets go of it. */
	if (pin_map_id(half, "shunt_conf") != pin_map_id(half_next(half), "shunt_conf"))
		old_conf_set(half_next(half), "run.loaded", 0);
	if (remove_next(half))
		say("'shunt unload' and the next upgrade remove what is left of the former %s",
		    half_name(half));
	return 0;
}

static void report(const struct upgrade *u, enum half half)
{
	if (!u->loaded[half])
		return;
	if (!u->is_new[half])
		say("%s: runs the programs of shunt %s already", half_name(half), SHUNT_VERSION);
	else
		say("%s: runs the programs of shunt %s%s", half_name(half), SHUNT_VERSION,
		    u->kept[half] ? "" : "; its pairs go by TCP until they qualify anew");
}

static int finish_all(struct upgrade *u)
{
	int half, error, first = 0;

	for (half = 0; half < HALVES; half++) {
		if (!u->loaded[half])
			continue;
		error = u->is_new[half] ? finish(u, half) : remove_next(half);
		if (!error)
			report(u, half);
		first = first ? first : error;
	}
	return first;
}

/* --- the command ------------------------------------------------------------------------------------ */

static void report_check(const struct upgrade *u)
{
	int half;

	for (half = 0; half < HALVES; half++) {
		if (!u->loaded[half])
			continue;
		printf("%s: %s\n", half_name(half),
		       !u->is_new[half] ? "would stay as it is"
		       : u->kept[half]
			       ? "would run new programs; nothing is lost"
			       : "would run new programs; its pairs would go by TCP until they "
				 "qualify anew");
	}
}

static int upgrade(struct upgrade *u, bool check)
{
	int error = find_halves(u);

	if (error)
		return error;
	error = remove_all_next();
	if (error)
		return error;
	error = prepare_all(u);
	if (!error && !check)
		error = switch_all(u);
	if (error || check) {
		if (!error)
			report_check(u);
		revert(u);
		return error;
	}
	return finish_all(u);
}

/* --- 'shunt run' begins anew -------------------------------------------------------------------- */

#define RUN_MS 5000

static bool is_served(enum half half)
{
	const struct shunt_conf *conf = pin_mmap(half, "shunt_conf", NULL);
	const bool served = conf && supervisor_is_running(half) && supervisor_has_heartbeat(conf);

	if (conf)
		munmap((void *)conf, sizeof(*conf));
	return served;
}

/* Waits until 'shunt run' serves the halves again that it served before. */
static void wait_for_run(const struct upgrade *u)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	const __u64 start = monotonic_ns();
	int half;

	for (half = 0; half < HALVES; half++) {
		while (u->served[half] && !is_served(half)) {
			if (monotonic_ns() - start > RUN_MS * NS_PER_MS) {
				warn("'shunt run' does not serve %s any more; start that of "
				     "version %s",
				     half_name(half), SHUNT_VERSION);
				return;
			}
			nanosleep(&pause, NULL);
		}
	}
}

static int upgrade_help(void)
{
	puts("usage: shunt upgrade [--check]\n\n"
	     "What is loaded runs the programs of this version of shunt from now on. Install the new\n"
	     "version over the old one first: 'shunt run' begins anew by itself, with the program that\n"
	     "it finds under its own path.\n\n"
	     "Connections, rules, flows and counters stay. Where this version keeps pairs of sockets in\n"
	     "another form, they go by TCP until they qualify for the fast path again. If a step\n"
	     "before the last fails, what is loaded goes on as before. An older version can take over in the same way.\n\n"
	     "  --check  only say what would happen");
	return 0;
}

int cmd_upgrade(int argc, char **argv)
{
	_cleanup_free_ struct upgrade *u = calloc(1, sizeof(*u));
	const bool check = argc == 2 && !strcmp(argv[1], "--check");
	_cleanup_lock_ int lock = -1;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return upgrade_help();
	if (argc > 1 && !check)
		return refuse("upgrade: unknown word '%s'; see 'shunt upgrade help'", argv[1]);
	if (!u)
		return fail(-ENOMEM, "upgrade");
	lock = pins_lock_any_version(false);
	if (lock == -ENOENT)
		return report_not_loaded();
	if (lock < 0)
		return lock;
	error = upgrade(u, check);
	pins_unlock(&lock);
	lock = -1;
	if (!error && !check)
		wait_for_run(u);
	return error;
}
