// SPDX-License-Identifier: GPL-2.0-only
/* shunt load: loads the halves that its words name, or adds to them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attachments.h"
#include "attach/iface_names.h"
#include "attach/ifaces.h"
#include "attach/leftovers.h"
#include "attach/own_addresses.h"
#include "bpf/pins.h"
#include "bpf/selftest.h"
#include "bypass/lingering.h"
#include "cmd/apply.h"
#include "cmd/command.h"
#include "cmd/kept_rules.h"
#include "cmd/load.h"
#include "cmd/next_half.h"
#include "cmd/plan.h"
#include "cmd/settings.h"
#include "cmd/teardown.h"
#include "config/load_config.h"
#include "config/options.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/netns.h"

#define DRAIN_MS 2000

/* Halves in the order in which they are loaded: the monitor sees what the others did. */
static const enum half order[] = { HALF_STEER, HALF_NAT, HALF_BYPASS, HALF_MONITOR };

/* Removes what an interrupted load or unload of a half left. The interrupted command may have run
 * in another network namespace. teardown() goes there, and this function comes back. */
static int remove_remains(enum half half)
{
	_cleanup_fd_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	const struct teardown t = { .timeout_ms = DRAIN_MS, .quiet = true };
	int error = teardown(half, &t);

	if (error && error != -READERS_LEFT) /* readers hold bytes: that bypass lingers */
		return error;
	if (own >= 0 && setns(own, CLONE_NEWNET))
		return fail(-errno, "can't go back to this network namespace");
	return 0;
}

/* Whether the words of load name a cgroup that is not attached to yet. */
static bool adds_cgroup(const struct load_config *config)
{
	const struct shunt_attachment *attachments = attachments_map();
	unsigned int i;

	for (i = 0; i < config->n; i++)
		if (config->attachments[i].kind == ATTACH_CGROUP &&
		    (!attachments ||
		     !attachment_find(attachments, ATTACH_CGROUP, config->attachments[i].name)))
			return true;
	return false;
}

/* Finds out what this kernel would lose on the fast path. Takes a second. */
static int test_kernel(struct load_config *config)
{
	bool fionread = true, eager = config->eager && !config->force;
	int error;

	if ((!config->proven && !eager) || !adds_cgroup(config))
		return 0;
	config->kernel_tested = true;
	error = selftest_run_for_load(eager, "'load --force' overrules", &fionread);
	config->conf.fionread_faulty = !fionread;
	return error;
}

/* Whether the words only add to the bypass or change it, which needs no network namespace. */
static bool changes_only_bypass(const struct load_config *config, const bool loaded[HALVES])
{
	int half;

	if (!loaded[HALF_BYPASS])
		return false;
	for (half = 0; half < HALVES; half++)
		if (half != HALF_BYPASS && load_config_wants(config, half))
			return false;
	return true;
}

/* Refuses a load in another network namespace than that of the halves that are loaded. */
static int check_netns(const struct load_config *config, const bool loaded[HALVES], __u64 netns)
{
	struct half_pins pins;
	int half, error;

	for (half = 0; half < HALVES; half++) {
		error = loaded[half] ? half_map(half, &pins) : 0;
		if (error)
			return error;
		if (!loaded[half] || pins.conf->netns == netns)
			continue;
		if (netns_enter_of(pins.conf) == -ENOENT && changes_only_bypass(config, loaded))
			continue;
		return netns_require_loaded()
			       ?: deny(-EEXIST, "already loaded in another network namespace; "
						"unload first, or choose another --pin-dir");
	}
	return 0;
}

/* Refuses a setting of a half that is neither loaded nor named by these words. A setting of NAT is
 * never refused, because it loads NAT by itself. */
static int check_settings(const struct load_config *config, enum half half,
			  const bool loaded[HALVES])
{
	const char *option = config->is_loaded && !config->whole
				     ? load_options_changed(half, config)
				     : NULL;

	if (!option || half == HALF_NAT || loaded[half] || load_config_names(config, half))
		return 0;
	return deny(-ENOENT, "%s: %s is not loaded; give %s, too", option, half_name(half),
		    half == HALF_BYPASS ? "--cgroup" : "--iface");
}

int load_check(const struct load_config *config, const bool loaded[HALVES], __u64 netns)
{
	int error = check_netns(config, loaded, netns);
	size_t i;

	for (i = 0; i < HALVES && !error; i++)
		error = check_settings(config, order[i], loaded);
	for (i = 0; i < HALVES && !error; i++)
		if (loaded[order[i]] && load_config_wants(config, order[i]))
			error = load_more_check(order[i], config);
	return error;
}

static int load_one(struct load *l, enum half half)
{
	int error;

	if (l->loaded[half]) {
		if (!l->applies && (half == HALF_STEER ? l->config->file.count
						       : half == HALF_NAT && l->config->file.nats))
			say("rules of %s are left as they are: 'shunt apply' changes them",
			    half_name(half));
		return load_more(half, l->config, &l->more);
	}
	error = remove_remains(half);
	if (error)
		return error;
	l->fresh[half] = l->more.changed = true;
	return load_half(half, l->config, &l->rules);
}

/* Brings settings back to what they were. */
static void put_settings_back(struct load *l)
{
	int half;

	l->now->loaded = l->config;
	for (half = 0; half < HALVES; half++)
		if (l->loaded[half])
			settings_write(half, l->now);
}

void load_undo(struct load *l)
{
	const struct teardown t = { .timeout_ms = DRAIN_MS };
	int i;

	if (l->config->loaded == l->now)
		put_settings_back(l);
	load_more_undo(&l->more);
	for (i = HALVES - 1; i >= 0; i--)
		if (l->fresh[order[i]])
			teardown(order[i], &t);
	pins_remove();
}

static int load_all(struct load *l)
{
	int error;
	size_t i;

	for (i = 0; i < HALVES; i++) {
		if (!load_config_wants(l->config, order[i]))
			continue;
		error = load_one(l, order[i]);
		if (error)
			return error;
	}
	for (i = 0; i < HALVES; i++) {
		error = l->fresh[order[i]] ? 0 : load_more_settings(order[i], l->config, &l->more);
		if (error)
			return error;
	}
	return 0;
}

static void report(const struct load *l)
{
	const struct rule_file *file = &l->config->file;

	if (!l->more.changed)
		say("already loaded");
	if ((l->fresh[HALF_STEER] && file->count) || (l->fresh[HALF_NAT] && file->nats)) {
		report_rule_changes(&l->rules.steer, &l->rules.nat, NULL);
		ifaces_warn_idle_rules(file->rule, file->count);
		own_addresses_warn(file->rule, file->count);
	}
	if (l->config->steer)
		ifaces_warn_topology();
}

/* Looks up the interfaces of the words again. They may have swapped their names before this command
 * took the lock. */
static int find_ifaces_again(struct load_config *config)
{
	struct shunt_attachment *a;
	unsigned int i;
	int error;

	for (i = 0; i < config->n; i++) {
		a = &config->attachments[i];
		error = attachment_is_iface(a) ? iface_index(a->name, &a->ifindex) : 0;
		if (error)
			return fail(error, "can't look at interface '%s'", a->name);
	}
	return 0;
}

int load_begin(struct load *l)
{
	int error = load_config_defaults(l->now), renamed;

	if (error)
		return error;
	error = find_ifaces_again(l->config);
	if (error)
		return error;
	renamed = l->config->check ? 0 : attachments_update_names();
	if (renamed < 0)
		return renamed;
	l->more.changed |= renamed;
	error = settings_read(l->now, l->loaded);
	if (error < 0)
		return error;
	l->config->is_loaded = error > 0;
	return load_more_begin(&l->more);
}

int load_add(struct load *l)
{
	int error = load_check(l->config, l->loaded, own_netns_cookie());

	if (error)
		return error;
	error = test_kernel(l->config);
	if (error)
		return error;
	error = remove_all_next();
	if (error)
		return error;
	error = lingering_sweep();
	if (error)
		return error;
	error = l->config->is_loaded ? 0 : leftovers_remove();
	return error ? error : load_all(l);
}

/* Refuses a new --max-rules below the number of rules in force: these could not be applied again. */
static int check_rules_in_force(const struct load *l)
{
	const unsigned int line = rule_file_line_of(&l->config->file, "--max-rules");
	const __u32 max = l->config->conf.max_rules;
	__u32 count;
	int error = 0;

	if (!l->loaded[HALF_STEER] || max >= l->now->conf.max_rules)
		return 0;
	error = rules_open();
	if (error)
		return error;
	count = rules_count();
	rules_close();
	if (count <= max)
		return 0;
	if (line)
		log_set_file_position(l->config->file.name, line);
	deny(-ENOSPC, "--max-rules %u: there are %u rules", max, count);
	log_set_file_position(NULL, 0);
	return -ENOSPC;
}

/* Puts what the words say beside what is loaded. */
static int compare_with_loaded(struct load *l)
{
	int error = load_begin(l);

	if (error)
		return error;
	load_options_rebase(l->config, l->now);
	return check_rules_in_force(l);
}

static int load_locked(struct load *l)
{
	int error = compare_with_loaded(l);

	return error ? error : load_add(l);
}

static int load(struct load_config *config)
{
	_cleanup_free_ struct load_config *now = calloc(1, sizeof(*now));
	_cleanup_lock_ int lock = pins_lock(true);
	struct load l = { .config = config, .now = now };
	int error;

	if (lock < 0)
		return lock;
	error = now ? load_locked(&l) : fail(-ENOMEM, "load");
	if (error) {
		load_undo(&l);
		return error;
	}
	if (l.fresh[HALF_STEER] || l.loaded[HALF_STEER]) /* else a later load brings them back */
		kept_rules_remove();
	report(&l);
	return 0;
}

/* Says what load() would change. The lock enters the namespace of what is loaded. */
static int check_locked(struct load *l, __u64 netns, struct plan *plan)
{
	const struct rule_file *f = &l->config->file;
	int error = compare_with_loaded(l);

	if (error)
		return error;
	memcpy(plan->loaded, l->loaded, sizeof(plan->loaded));
	plan->steer.added = l->loaded[HALF_STEER] ? 0 : f->count;
	plan->nat.added = l->loaded[HALF_NAT] ? 0 : f->nats;
	return load_check(l->config, l->loaded, netns);
}

static int check(struct load_config *config)
{
	_cleanup_free_ struct load_config *now = calloc(1, sizeof(*now));
	const __u64 netns = own_netns_cookie();
	_cleanup_lock_ int lock = pins_lock(false);
	struct load l = { .config = config, .now = now };
	struct plan plan = { .config = config, .now = now };

	if (lock < 0 && lock != -ENOENT)
		return check_end(lock, NULL);
	return check_end(now ? check_locked(&l, netns, &plan) : fail(-ENOMEM, "load"), &plan);
}

static int load_or_check(struct load_config *config, int error)
{
	if (config->check && (error || geteuid()))
		return check_end(error, NULL);
	if (error)
		return error;
	return config->check ? check(config) : load(config);
}

static int load_help(void)
{
	puts("usage: shunt load [--config FILE] [--cgroup PATH[=proven|eager]]... [--iface NAME]...\n"
	     "                  [--nat NAME]... [--monitor NAME]... [OPTION VALUE]...\n\n"
	     "What is loaded already stays: load adds to it, and changes the settings that it names.\n");
	load_options_help();
	return 0;
}

static bool asks_for_check(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--check"))
			return true;
	return false;
}

int cmd_load(int argc, char **argv)
{
	_cleanup_free_ struct load_config *config = NULL, *loaded = NULL;
	bool halves[HALVES];
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return load_help();
	config = calloc(1, sizeof(*config));
	loaded = calloc(1, sizeof(*loaded));
	if (!config || !loaded)
		return fail(-ENOMEM, "load");
	error = load_config_defaults(loaded);
	if (error)
		return error;
	/* without root the lock is refused below, after wrong words are */
	error = geteuid() ? 0 : settings_read(loaded, halves);
	if (error < 0)
		return error;
	config->loaded = loaded;
	config->is_loaded = error > 0;
	config->check = asks_for_check(argc, argv);
	if (config->check)
		check_begin();
	error = load_or_check(config, load_config_parse(argc, argv, config));
	rule_file_free(&config->file);
	return error;
}
