// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/plan.h"

#include <fnmatch.h>
#include <net/if.h>
#include <stdio.h>

#include "config/options.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

bool plan_unloads(const struct plan *plan, enum half half)
{
	return plan->config->whole && plan->loaded[half] && !load_config_wants(plan->config, half);
}

static bool loads(const struct plan *plan, enum half half)
{
	return !plan->loaded[half] && load_config_wants(plan->config, half);
}

/* Goes to the next attachment that *config has and *base lacks. */
static bool next_attachment(const struct load_config *config, const struct load_config *base,
			    struct option_value *v)
{
	while (load_options_next(config, base, v))
		if (load_option_attaches(v->option))
			return true;
	return false;
}

/* --- settings ------------------------------------------------------------------------------- */

/* One setting that changes. An exclude that comes has no value before, one that goes none after. */
struct change {
	const char *option;
	const char *from, *to; /* NULL: none */
};

typedef void (*change_fn)(const struct change *c);

/* Whether the half stays loaded, so that its settings change. */
static bool stays(const struct plan *plan, enum half half)
{
	return plan->loaded[half] && !plan_unloads(plan, half);
}

/* The value that *config has in place of v, which *base has. */
static bool counterpart(const struct load_config *config, const struct load_config *base,
			const struct option_value *v, struct option_value *ret)
{
	*ret = (struct option_value){};
	if (load_option_is_list(v->option))
		return false;
	while (load_options_next(config, base, ret))
		if (ret->option == v->option && ret->i == v->i)
			return true;
	return false;
}

static void each_setting(const struct plan *plan, change_fn fn)
{
	struct option_value v = {}, other;
	struct change c;

	while (load_options_next(plan->config, plan->now, &v)) {
		if (load_option_attaches(v.option) || !stays(plan, load_option_half(v.option)))
			continue;
		c = (struct change){ .option = load_option_name(v.option), .to = v.text };
		if (counterpart(plan->now, plan->config, &v, &other))
			c.from = other.text;
		fn(&c);
	}
	v = (struct option_value){};
	while (load_options_next(plan->now, plan->config, &v)) {
		if (load_option_attaches(v.option) || !stays(plan, load_option_half(v.option)) ||
		    counterpart(plan->config, plan->now, &v, &other))
			continue;
		c = (struct change){ .option = load_option_name(v.option), .from = v.text };
		fn(&c);
	}
}

static void print_change(const struct change *c)
{
	if (c->from && c->to)
		printf("would change %s from %s to %s\n", c->option, printable(c->from),
		       printable(c->to));
	else
		printf("would %s %s %s\n", c->to ? "add" : "take away", c->option,
		       printable(c->to ? c->to : c->from));
}

static void say_change(const struct change *c)
{
	if (c->from && c->to)
		say("changed %s from %s to %s", c->option, c->from, c->to);
	else
		say("%s %s %s", c->to ? "added" : "took away", c->option, c->to ? c->to : c->from);
}

static void json_change(const struct change *c)
{
	json_open(&json_stdout, '{');
	json_string(&json_stdout, "option", c->option + 2);
	if (c->from)
		json_string(&json_stdout, "from", c->from);
	if (c->to)
		json_string(&json_stdout, "to", c->to);
	json_close(&json_stdout, '}');
}

void plan_say_settings(const struct plan *plan)
{
	each_setting(plan, say_change);
}

/* --- as text ---------------------------------------------------------------------------------- */

static unsigned int changed; /* lines that print_plan() has printed */

static void print_counted(const struct change *c)
{
	changed++;
	print_change(c);
}

static void print_halves(const struct plan *plan, const char *verb,
			 bool (*fn)(const struct plan *, enum half))
{
	int half;

	for (half = 0; half < HALVES; half++) {
		if (!fn(plan, half))
			continue;
		changed++;
		printf("would %s %s\n", verb, half_name(half));
	}
}

static void print_attachments(const char *verb, const struct load_config *config,
			      const struct load_config *base)
{
	struct option_value v = {};

	while (next_attachment(config, base, &v)) {
		changed++;
		printf("would %s '%s' (%s)\n", verb, printable(v.text),
		       load_option_name(v.option) + 2);
	}
}

static void print_number(const char *verb, __u32 n, const char *what)
{
	if (!n)
		return;
	changed++;
	printf("would %s %u %srule%s\n", verb, n, what, n == 1 ? "" : "s");
}

static void print_rules(const struct rule_changes *c, const char *what)
{
	print_number("add", c->added, what);
	print_number("change", c->changed, what);
	print_number("delete", c->deleted, what);
}

static void print_plan(const struct plan *plan)
{
	changed = 0;
	print_halves(plan, "load", loads);
	print_attachments("attach to", plan->config, plan->now);
	each_setting(plan, print_counted);
	print_rules(&plan->steer, "");
	print_rules(&plan->nat, "NAT ");
	if (plan->config->whole)
		print_attachments("detach from", plan->now, plan->config);
	print_halves(plan, "unload", plan_unloads);
	if (!changed)
		puts("nothing would change");
}

/* --- as JSON ------------------------------------------------------------------------------------ */

static void json_halves(const struct plan *plan, const char *name,
			bool (*fn)(const struct plan *, enum half))
{
	int half;

	json_open_in(&json_stdout, name, '[');
	for (half = 0; half < HALVES; half++)
		if (fn(plan, half))
			json_string(&json_stdout, NULL, half_name(half));
	json_close(&json_stdout, ']');
}

static void json_attachments(const char *name, const struct load_config *config,
			     const struct load_config *base)
{
	struct option_value v = {};

	json_open_in(&json_stdout, name, '[');
	while (next_attachment(config, base, &v)) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "option", load_option_name(v.option) + 2);
		json_string(&json_stdout, "name", v.text);
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

void plan_json(const struct plan *plan)
{
	static const struct load_config none;

	json_halves(plan, "load", loads);
	json_attachments("attach", plan->config, plan->now);
	json_attachments("detach", plan->config->whole ? plan->now : &none, plan->config);
	json_open_in(&json_stdout, "settings", '[');
	each_setting(plan, json_change);
	json_close(&json_stdout, ']');
	json_halves(plan, "unload", plan_unloads);
}

/* --- --check ---------------------------------------------------------------------------------------- */

static bool matches_any(const char *pattern, const struct if_nameindex *all)
{
	for (; all && all->if_name; all++)
		if (!fnmatch(pattern, all->if_name, 0))
			return true;
	return false;
}

/* Warns of what load would wait for: interfaces that are not there yet. */
static void warn_waiting(const struct load_config *config)
{
	struct if_nameindex *all = if_nameindex();
	const struct rule_file *f = &config->file;
	unsigned int i;

	for (i = 0; i < config->n; i++)
		if (config->attachments[i].kind == ATTACH_PATTERN &&
		    !matches_any(config->attachments[i].name, all))
			warn("there is no interface '%s' yet", config->attachments[i].name);
	for (i = 0; i < f->count; i++)
		if (f->line[i].rule.ifindex == SHUNT_NO_IFINDEX)
			warn("%s:%u: the rule waits: there is no interface '%s' yet", f->name,
			     f->line[i].number, f->line[i].rule.ifname);
	if_freenameindex(all);
}

void check_begin(void)
{
	if (!opt.json)
		return;
	json_open(&json_stdout, '{');
	json_open_in(&json_stdout, "errors", '[');
	log_list_errors(true);
}

static void json_rules(const char *name, const struct rule_changes *c)
{
	json_open_in(&json_stdout, name, '{');
	json_number(&json_stdout, "added", c->added);
	json_number(&json_stdout, "changed", c->changed);
	json_number(&json_stdout, "deleted", c->deleted);
	json_close(&json_stdout, '}');
}

static void json_check(int error, const struct plan *plan)
{
	log_list_errors(false);
	json_close(&json_stdout, ']');
	json_bool(&json_stdout, "compared", !error && plan);
	if (!error && plan) {
		plan_json(plan);
		json_rules("rules", &plan->steer);
		json_rules("nat_rules", &plan->nat);
	}
	json_close(&json_stdout, '}');
}

int check_end(int error, const struct plan *plan)
{
	if (!error && plan)
		warn_waiting(plan->config);
	if (opt.json)
		json_check(error, plan);
	else if (!error && plan)
		print_plan(plan);
	else if (!error)
		puts("no error in the words and in FILE; not compared with what is loaded, which needs "
		     "root");
	return error;
}
