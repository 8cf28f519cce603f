// SPDX-License-Identifier: GPL-2.0-only
/* shunt apply: the words, and the rules of a file. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/fragment_listeners.h"
#include "attach/local_origin.h"
#include "bpf/pins.h"
#include "cmd/apply.h"
#include "cmd/apply_all.h"
#include "cmd/command.h"
#include "cmd/settings.h"
#include "config/load_config.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/rule_store.h"
#include "rules/shadowed.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

void compare_steering_rules(const struct rule_file *f, struct rule_changes *ret)
{
	struct rule_changes d = {};
	const struct shunt_rule *was;
	__u32 i;

	for (i = 0; i < f->count; i++) {
		was = rules_find(&f->line[i].rule);
		/* the file does not say that map_update made the rule */
		if (was && !f->line[i].rule.router)
			f->line[i].rule.compat = was->compat;
		d.added += !was;
		d.same += was && rule_same_effect(was, &f->line[i].rule);
		d.changed += was && !rule_same_effect(was, &f->line[i].rule);
	}
	d.deleted = rules_count() - d.same - d.changed;
	*ret = d;
}

/* The shadowed rules of the file. */
static int make_shadows(const struct rule_file *f, struct shadow_table *ret)
{
	_cleanup_free_ const struct shunt_rule **rules = calloc(f->shadows + 1, sizeof(*rules));
	__u32 i;

	if (!rules)
		return fail(-ENOMEM, "shadowed rules");
	for (i = 0; i < f->shadows; i++)
		rules[i] = &f->shadow[i].rule;
	return shadow_table_make(rules, f->shadows, ret);
}

static bool any_differs(const struct rule_changes *c)
{
	return c->added + c->changed + c->deleted;
}

/*
 * Shadowed rules come before the rules in force are replaced, and go afterwards. So a rule of a router
 * that comes in force, or is shadowed from now on, is somewhere at each moment: a kill loses none. An error
 * of the last step is reported, but the rules are in force: the same apply again does that step.
 */
static int replace_rules(const struct rule_file *f, const struct rule_changes *changes)
{
	_cleanup_shadows_ struct shadow_table was = {}, new = {}, both = {};
	int error = make_shadows(f, &new);

	if (error)
		return error;
	error = shadow_table_read(&was);
	if (error)
		return error;
	error = shadow_table_join(&was, &new, &both);
	if (error)
		return error;
	error = shadow_table_change(&was, &both);
	if (!error && any_differs(changes))
		error = rules_replace(f->rule, f->count);
	if (error) {
		shadow_table_change(&both, &was);
		return error;
	}
	shadow_table_change(&both, &new);
	return 0;
}

int apply_steering_rules(const struct rule_file *f, struct rule_changes *ret)
{
	int error;

	compare_steering_rules(f, ret);
	error = replace_rules(f, ret);
	if (error)
		return error;
	listeners_add_wanted(f->rule, f->count);
	return 0;
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

void report_rule_changes(const struct rule_changes *steer, const struct rule_changes *nat,
			 const struct plan *plan)
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
	if (plan)
		plan_json(plan);
	json_close(&json_stdout, '}');
}

int apply_rules(struct rule_file *f, struct rule_changes *steer, struct rule_changes *nat)
{
	struct shunt_attachment *attachments = attachments_map();
	int error = steer && rule_file_is_local(f) ? local_origin_begin() : 0;

	if (error)
		return error;
	error = steer ? keep_router_rules(f) : 0;
	if (error)
		return error;
	error = nat ? nat_replace(f->nat, f->nats, nat) : 0;
	if (error)
		return error;
	error = steer ? apply_steering_rules(f, steer) : 0;
	if (error) {
		if (nat)
			nat_replace_undo();
		return error;
	}
	if (!f->nats && nat && attachments)
		nat_detach_unused(attachments);
	return 0;
}

static int apply_help(void)
{
	puts("usage: shunt apply [--check] [--force] FILE\n\n"
	     "Brings what is loaded to what FILE ('-': standard input) says, by differences. What stays\n"
	     "keeps its flows, its counters and its pairs. With an error in any line nothing changes.\n\n"
	     "A line has the words that follow 'shunt steer add', or nat and those that follow\n"
	     "'shunt nat add', or an option of 'shunt load' without its dashes: 'iface eth0'. # begins a\n"
	     "comment. 'shunt save' prints such a file.\n\n"
	     "  FILE names an attachment (iface, cgroup, nat, monitor)\n"
	     "        is the whole configuration: what FILE lacks is taken away, settings that FILE\n"
	     "        does not name go back to their defaults, and halves without an attachment\n"
	     "        or a rule are unloaded\n"
	     "  FILE has rules, and maybe settings\n"
	     "        replaces the rules and changes the settings that FILE names; all else stays\n"
	     "  FILE has settings alone\n"
	     "        is refused, because it would delete all rules; 'shunt load' changes settings alone\n\n"
	     "Rules that routers have made (shunt-diverter) stay while those routers run.\n\n"
	     "  --check  changes nothing: reports the errors of all lines, and as root says what\n"
	     "           would change\n"
	     "  --force  attaches 'eager' even where this kernel would lose data");
	return 0;
}

static int parse_words(int argc, char **argv, struct load_config *config, const char **ret_file)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--check"))
			config->check = true;
		else if (!strcmp(argv[i], "--force"))
			config->force = true;
		else if (*ret_file)
			return refuse("apply: '%s' is one word too many", argv[i]);
		else
			*ret_file = argv[i];
	}
	return *ret_file ? 0 : refuse("apply: a file is missing; '-' reads standard input");
}

/* Reads the options of the file on top of the defaults, or of what is in force. */
static int read_options(struct load_config *config, struct load_config *base)
{
	const struct rule_file *f = &config->file;
	bool loaded[HALVES];
	int error;

	config->whole = rule_file_attaches(f);
	error = load_config_defaults(base);
	if (error)
		return error;
	error = config->whole || geteuid() ? 0 : settings_read(base, loaded);
	if (error < 0)
		return error;
	error = config->whole && !geteuid() ? settings_read_attachments(base) : 0;
	if (error)
		return error;
	config->loaded = base;
	error = load_config_read_options(config);
	if (error || config->whole || !f->options || f->count || f->nats)
		return error;
	return refuse("'%s' has settings, but neither a rule nor an attachment, and apply would delete "
		      "all rules; 'shunt load --config' changes settings alone",
		      f->name);
}

static int read_file(struct load_config *config, struct load_config *base, const char *name)
{
	int error, first = (config->check ? rule_file_check : rule_file_read)(name, &config->file);

	if (first && !config->check)
		return first;
	error = read_options(config, base);
	return first ? first : error;
}

static int apply(struct load_config *config, struct load_config *base, const char *name)
{
	int error;

	netns_enter_loaded(); /* interfaces are looked up there */
	if (config->check)
		check_begin();
	error = read_file(config, base, name);
	if (config->check && (error || geteuid()))
		return check_end(error, NULL);
	return error ? error : apply_all(config);
}

int cmd_apply(int argc, char **argv)
{
	_cleanup_free_ struct load_config *config = NULL, *base = NULL;
	const char *file = NULL;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return apply_help();
	config = calloc(1, sizeof(*config));
	base = calloc(1, sizeof(*base));
	if (!config || !base)
		return fail(-ENOMEM, "apply");
	error = parse_words(argc, argv, config, &file);
	if (error)
		return error;
	error = apply(config, base, file);
	rule_file_free(&config->file);
	return error;
}
