// SPDX-License-Identifier: GPL-2.0-only
/* shunt apply: all rules as a file. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "attach/local_origin.h"
#include "attach/own_addresses.h"
#include "bpf/pins.h"
#include "cmd/apply.h"
#include "cmd/command.h"
#include "config/rule_file.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/rule_store.h"
#include "rules/shadowed.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

static int apply_help(void)
{
	puts("usage: shunt apply FILE\n\n"
	     "Makes the rules of FILE ('-': of standard input) the rules in force, in one step.\n"
	     "Rules that stay keep their counters and their flows. With an error in any line\n"
	     "nothing changes.\n\n"
	     "A line has the words that follow 'shunt steer add', or nat and those that follow\n"
	     "'shunt nat add'; # begins a comment. Lines such as 'iface eth0' are options for\n"
	     "'shunt load --config FILE'; apply skips them.");
	return 0;
}

/* Takes the lock and opens the rules of both kinds, or of NAT alone if steering is not loaded and
 * not needed. Returns the fd of the lock, or -errno after reporting it. */
static int lock_rules(bool need_steer, bool need_nat, bool loaded[HALVES], bool *ret_steer)
{
	_cleanup_lock_ int lock = -1;
	int error;

	error = halves_loaded(loaded);
	if (error < 0)
		return error;
	*ret_steer = need_steer || loaded[HALF_STEER] || !loaded[HALF_NAT];
	if (!*ret_steer)
		return nat_lock();
	lock = rules_lock();
	if (lock < 0)
		return lock;
	error = need_nat || loaded[HALF_NAT] ? nat_store_open() : 0;
	return error ? error : take_fd(&lock);
}

static void compare(const struct rule_file *f, struct rule_changes *ret)
{
	struct rule_changes d = {};
	const struct shunt_rule *was;
	__u32 i;

	for (i = 0; i < f->count; i++) {
		was = rules_find(&f->line[i].rule);
		if (was) { /* the file does not say that map_update or a router made the rule */
			f->line[i].rule.compat = was->compat;
			rule_keep_router(was, &f->line[i].rule);
		}
		d.added += !was;
		d.same += was && rule_same_effect(was, &f->line[i].rule);
		d.changed += was && !rule_same_effect(was, &f->line[i].rule);
	}
	d.deleted = rules_count() - d.same - d.changed;
	*ret = d;
}

/* Keeps the router of a shadowed rule that is already there. */
static void keep_shadow_router(struct shunt_rule *r, const struct shunt_shadows *was)
{
	struct shunt_rule old;
	__u32 i;

	for (i = 0; i < was->count; i++) {
		old = shadow_rule(r, &was->shadow[i]);
		if (rule_keep_router(&old, r))
			return;
	}
}

static int keep_shadow_routers(const struct rule_file *f)
{
	struct shunt_shadows was;
	__u32 i;
	int error;

	for (i = 0; i < f->shadows; i++) {
		error = shadows_get(&f->shadow[i].rule, &was);
		if (error)
			return error;
		keep_shadow_router(&f->shadow[i].rule, &was);
	}
	return 0;
}

/* Replaces all shadowed rules by those of the file. */
static int apply_shadows(const struct rule_file *f)
{
	__u32 i;
	int error;

	if (!f->shadows)
		return shadows_none() ? 0 : shadows_clear();
	error = keep_shadow_routers(f);
	if (error)
		return error;
	error = shadows_clear();
	if (error)
		return error;
	for (i = 0; i < f->shadows; i++) {
		error = shadows_append(&f->shadow[i].rule);
		if (error)
			return error;
	}
	return 0;
}

int apply_steering_rules(const struct rule_file *f, struct rule_changes *ret)
{
	int error;

	compare(f, ret);
	error = ret->added + ret->changed + ret->deleted ? rules_replace(f->rule, f->count) : 0;
	if (error)
		return error;
	listeners_add_wanted(f->rule, f->count);
	return apply_shadows(f);
}

static bool any(const struct rule_changes *c)
{
	return c->added + c->changed + c->deleted + c->same;
}

static void say_changes(const char *what, const struct rule_changes *c)
{
	say("%u %srules: %u added, %u changed, %u deleted", c->added + c->changed + c->same, what,
	    c->added, c->changed, c->deleted);
}

static void json_changes(const struct rule_changes *c)
{
	json_number(&json_stdout, "rules", c->added + c->changed + c->same);
	json_number(&json_stdout, "added", c->added);
	json_number(&json_stdout, "changed", c->changed);
	json_number(&json_stdout, "deleted", c->deleted);
}

void report_rule_changes(const struct rule_changes *steer, const struct rule_changes *nat)
{
	if (any(steer) || !any(nat))
		say_changes("", steer);
	if (any(nat))
		say_changes("NAT ", nat);
	if (!opt.json)
		return;
	json_open(&json_stdout, '{');
	json_changes(steer);
	json_open_in(&json_stdout, "nat", '{');
	json_changes(nat);
	json_close(&json_stdout, '}');
	json_close(&json_stdout, '}');
}

/* Puts the steering rules in force, then the rules of NAT. An error with NAT undoes the steering
 * rules. */
static int apply(const struct rule_file *f, bool steer, bool with_nat)
{
	struct rule_changes c = {}, nat = {};
	struct half_pins pins;
	int error = half_map(HALF_NAT, &pins);

	if (error)
		return error;
	error = rule_file_is_local(f) ? local_origin_begin() : 0;
	if (error)
		return error;
	error = with_nat ? nat_replace(f->nat, f->nats, &nat) : 0;
	if (error)
		return error;
	error = steer ? apply_steering_rules(f, &c) : 0;
	if (error) {
		if (with_nat)
			nat_replace_undo();
		return error;
	}
	if (!f->nats && with_nat)
		nat_detach_unused(pins.attachments);
	report_rule_changes(&c, &nat);
	ifaces_warn_idle_rules(f->rule, f->count);
	own_addresses_warn(f->rule, f->count);
	return 0;
}

int cmd_apply(int argc, char **argv)
{
	_cleanup_rules_ struct rule_file f = {};
	_cleanup_lock_ int lock = -1;
	bool loaded[HALVES], steer;
	int error;

	if (argc < 2)
		return refuse("apply: a file is missing; '-' reads standard input");
	if (argc > 2)
		return refuse("apply: '%s' is one word too many", argv[2]);
	if (!strcmp(argv[1], "help"))
		return apply_help();
	netns_enter_loaded(); /* interfaces of rules are looked up there */
	error = rule_file_read(argv[1], &f);
	if (error)
		return error;
	lock = lock_rules(f.count, f.nats, loaded, &steer);
	return lock < 0 ? lock : apply(&f, steer, loaded[HALF_NAT]);
}
