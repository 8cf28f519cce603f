// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/apply_all.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attachments.h"
#include "attach/ifaces.h"
#include "attach/own_addresses.h"
#include "bpf/pins.h"
#include "cmd/apply.h"
#include "cmd/kept_rules.h"
#include "cmd/load.h"
#include "cmd/plan.h"
#include "cmd/settings.h"
#include "cmd/unload.h"
#include "config/excludes.h"
#include "config/options.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"

#define READERS_MS 10000 /* as for unload */

struct apply {
	struct load load;
	struct plan plan;
};

/* --- before anything changes ---------------------------------------------------------------- */

static int deny_line(const struct rule_file *f, unsigned int line, const char *why)
{
	log_set_file_position(f->name, line);
	deny(-ENOENT, "%s", why);
	log_set_file_position(NULL, 0);
	return -ENOENT;
}

/* Rules belong to a loaded half. If the half is not loaded, the file must name an attachment of it. */
static int name_halves_of_rules(struct load_config *config, const bool loaded[HALVES])
{
	const struct rule_file *f = &config->file;

	if (f->count && !config->steer) {
		if (!loaded[HALF_STEER])
			return deny_line(f, f->line[0].number,
					 "a rule, but steering is not loaded; add a line 'iface NAME'");
		config->steer = config->whole;
	}
	if (f->nats && !config->nat && !config->steer) {
		if (!loaded[HALF_NAT])
			return deny_line(f, f->nat_line[0],
					 "a NAT rule, but NAT is not loaded; add a line 'nat NAME'");
		config->nat = config->whole;
	}
	return 0;
}

/* Warns of settings of a half that the file does not name. */
static void warn_useless(const struct load_config *config)
{
	const struct rule_file *f = &config->file;
	const struct load_option *option;
	int i;

	for (i = 0; i < f->options; i += 2) {
		option = load_option_find(f->option[i]);
		if (!load_option_attaches(option) &&
		    !load_config_wants(config, load_option_half(option)))
			warn("%s:%u: '%s' has no effect: no line names an attachment of %s",
			     f->name, f->option_line[i / 2], f->option[i] + 2,
			     half_name(load_option_half(option)));
	}
}

/* Puts what the file says beside what is loaded. */
static int compare_with_loaded(struct load *l)
{
	struct load_config *config = l->config;
	int error = load_begin(l);

	if (error)
		return error;
	if (config->whole)
		config->loaded = l->now;
	else
		load_options_rebase(config, l->now);
	excludes_keep_places(config->excludes, config->conf.excludes, l->now->excludes,
			     l->now->conf.excludes);
	error = name_halves_of_rules(config, l->loaded);
	if (error)
		return error;
	if (config->whole)
		warn_useless(config);
	return 0;
}

/* --- rules ------------------------------------------------------------------------------------ */

static bool stays(const struct apply *a, enum half half)
{
	return a->load.loaded[half] && !plan_unloads(&a->plan, half);
}

/* Opens the rules of the halves that were loaded before and stay. */
static int open_rules(const struct apply *a)
{
	int error = stays(a, HALF_STEER) ? rules_open() : 0;

	if (error)
		return error;
	return stays(a, HALF_NAT) ? nat_store_open() : 0;
}

/* Finds what would become of the rules. */
static int compare_all_rules(struct apply *a)
{
	struct rule_file *f = &a->load.config->file;
	int error = open_rules(a);

	if (error)
		return error;
	a->plan.steer.added = stays(a, HALF_STEER) ? 0 : f->count;
	a->plan.nat.added = stays(a, HALF_NAT) ? 0 : f->nats;
	error = stays(a, HALF_STEER) ? keep_router_rules(f) : 0;
	if (error)
		return error;
	error = load_config_check_room(a->load.config); /* now with the rules of routers */
	if (error)
		return error;
	if (stays(a, HALF_STEER))
		compare_steering_rules(f, &a->plan.steer);
	return stays(a, HALF_NAT) ? nat_store_compare(f->nat, f->nats, &a->plan.nat) : 0;
}

/* Puts the rules in force. Halves that this command loaded have their rules already. */
static int change_rules(struct apply *a)
{
	int error = open_rules(a);

	a->plan.steer = a->load.rules.steer;
	a->plan.nat = a->load.rules.nat;
	if (error)
		return error;
	return apply_rules(&a->load.config->file, stays(a, HALF_STEER) ? &a->plan.steer : NULL,
			   stays(a, HALF_NAT) ? &a->plan.nat : NULL);
}

/* --- what the file lacks -------------------------------------------------------------------- */

/* Whether 'shunt load' named the entry, and the entry is the one that counts: NAT and the monitor have
 * two for each interface. */
static bool is_part(const struct shunt_attachment *a)
{
	if (a->by_pattern || a->auto_attached)
		return false;
	return a->kind == ATTACH_CGROUP || a->kind == ATTACH_IFACE || a->kind == ATTACH_PATTERN ||
	       a->kind == ATTACH_MONITOR_IN || a->kind == ATTACH_NAT_IN ||
	       a->kind == ATTACH_NAT_RAW_IN;
}

/* Leaves an interface to a pattern of the file. Returns whether a pattern names the interface. */
static bool leave_to_pattern(const struct load_config *config, struct shunt_attachment *attachments,
			     const struct shunt_attachment *a)
{
	struct link link = { .ifindex = a->ifindex };

	if (a->kind != ATTACH_IFACE)
		return false;
	snprintf(link.name, sizeof(link.name), "%.*s", (int)sizeof(link.name) - 1, a->name);
	if (!iface_matches_pattern(config->attachments, &link))
		return false;
	attachments_set_by_pattern(attachments, a->name, true);
	return true;
}

/* Whether the file names the entry. NAT has entries of two kinds: an interface may have been made again
 * as one that needs the other. */
static bool is_wanted(const struct load_config *config, const struct shunt_attachment *a)
{
	if (!attachment_is_nat(a))
		return attachment_find(config->attachments, a->kind, a->name);
	return attachment_find(config->attachments, ATTACH_NAT_IN, a->name) ||
	       attachment_find(config->attachments, ATTACH_NAT_RAW_IN, a->name);
}

static int take_away(const struct load_config *config, struct shunt_attachment *attachments,
		     const struct shunt_attachment *a)
{
	struct shunt_attachment part = *a;

	if (is_wanted(config, a) || leave_to_pattern(config, attachments, a))
		return 0;
	if (part.kind == ATTACH_NAT_RAW_IN)
		part.kind = ATTACH_NAT_IN;
	debug("'%s' is not in the file", part.name);
	return unload_part(attachments, &part);
}

/* Patterns go first: what they had brought goes with them. */
static int take_away_parts(const struct apply *a, bool patterns)
{
	struct shunt_attachment *attachments = attachments_map();
	int i, error, first = 0;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0 && attachments; i--) {
		if (!is_part(&attachments[i]) ||
		    (attachments[i].kind == ATTACH_PATTERN) != patterns ||
		    !stays(a, attachment_half(&attachments[i])))
			continue;
		error = take_away(a->load.config, attachments, &attachments[i]);
		first = first ? first : error;
	}
	return first;
}

/* Unloads the halves that the file does not name, or what an interrupted command left of them. */
static int unload_rest(const struct apply *a)
{
	const struct teardown how = { .quiet = true };
	bool gone[HALVES];
	char path[PIN_PATH];
	int half;

	for (half = 0; half < HALVES; half++)
		gone[half] = !load_config_wants(a->load.config, half) &&
			     !access(pin_path(path, half, "", ""), F_OK);
	return unload_halves(gone, &how);
}

static int take_away_rest(const struct apply *a)
{
	int error, first = take_away_parts(a, true);

	error = take_away_parts(a, false);
	first = first_error(first, error);
	error = unload_rest(a);
	first = first_error(first, error);
	error = pins_remove();
	return first_error(first, error);
}

/* --- all together --------------------------------------------------------------------------- */

static void report(const struct apply *a)
{
	const struct rule_file *f = &a->load.config->file;

	plan_say_settings(&a->plan);
	report_rule_changes(&a->plan.steer, &a->plan.nat, &a->plan);
	ifaces_warn_idle_rules(f->rule, f->count);
	own_addresses_warn(f->rule, f->count);
	if (a->load.config->steer)
		ifaces_warn_topology();
}

/* Makes all that comes, or nothing of it. */
static int bring(struct apply *a)
{
	int error = load_add(&a->load);

	error = error ? error : change_rules(a);
	if (error)
		load_undo(&a->load);
	else if (a->load.fresh[HALF_STEER] || stays(a, HALF_STEER))
		kept_rules_remove();
	return error;
}

static int check_only(struct apply *a)
{
	int error = load_check(a->load.config, a->load.loaded, own_netns_cookie());

	return error ? error : compare_all_rules(a);
}

static int change(struct apply *a)
{
	int error = bring(a);

	if (error)
		return error;
	error = a->load.config->whole ? take_away_rest(a) : 0;
	report(a);
	return error;
}

static int apply_locked(struct apply *a)
{
	const bool check = a->load.config->check;
	int error = compare_with_loaded(&a->load);

	memcpy(a->plan.loaded, a->load.loaded, sizeof(a->plan.loaded));
	if (!error)
		error = check ? check_only(a) : change(a);
	return check ? check_end(error, &a->plan) : error;
}

/* Takes the lock. If nothing is loaded, a file with the whole configuration loads all of it. */
static int lock_for(const struct load_config *config)
{
	int lock = pins_lock(config->whole && !config->check);

	if (lock != -ENOENT || config->whole)
		return lock;
	return report_not_loaded();
}

int apply_all(struct load_config *config)
{
	const struct teardown how = { .timeout_ms = READERS_MS };
	_cleanup_free_ struct load_config *now = calloc(1, sizeof(*now));
	struct apply a = {
		.load = { .config = config, .now = now, .applies = true },
		.plan = { .config = config, .now = now },
	};
	_cleanup_lock_ int lock = -1;
	int error;

	if (!now)
		return fail(-ENOMEM, "apply");
	lock = lock_for(config);
	if (lock < 0 && !(lock == -ENOENT && config->check && config->whole))
		return config->check ? check_end(lock, NULL) : lock;
	error = apply_locked(&a);
	/* The lock may have made the folder, with nothing else in it. */
	if (error && !config->check)
		pins_remove();
	pins_unlock(&lock);
	lock = -1;
	return error == -READERS_LEFT ? unload_wait(&how) : error;
}
