// SPDX-License-Identifier: GPL-2.0-only
/* 'shunt apply' leaves the rules alone that routers have made and that still run: no file has them. */
#include <stdbool.h>

#include "cmd/apply.h"
#include "rules/routers.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"

/* Whether a line has this rule, as 'shunt save' prints it: without its router. */
static bool is_rule(const struct rule_line *line, const struct shunt_rule *r)
{
	struct shunt_rule named = line->rule;

	if (!rule_same_match(&named, r))
		return false;
	named.compat = r->compat;
	named.router = r->router;
	return rule_same_effect(&named, r);
}

static struct rule_line *find_line(struct rule_line *lines, __u32 count, const struct shunt_rule *r)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (is_rule(&lines[i], r))
			return &lines[i];
	return NULL;
}

static bool has_match(const struct rule_file *f, const struct shunt_rule *r)
{
	__u32 i;

	for (i = 0; i < f->count; i++)
		if (rule_same_match(&f->line[i].rule, r))
			return true;
	return false;
}

/* The file may have the rule, in force or shadowed, but does not name its router. If the file has another
 * rule for the same packets in force, the router's is shadowed. */
static int keep(struct rule_file *f, const struct shunt_rule *r)
{
	struct shunt_rule kept = *r;
	struct rule_line *line;

	if (!r->router)
		return 0;
	line = find_line(f->line, f->count, r) ?: find_line(f->shadow, f->shadows, r);
	if (line) {
		line->rule.compat = r->compat;
		line->rule.router = r->router;
		return 0;
	}
	if (router_gone(r->router))
		return 0;
	kept.shadowed = has_match(f, r);
	return rule_file_add(f, &kept);
}

int keep_router_rules(struct rule_file *f)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_free_ struct rule_copy *copy = NULL;
	__u32 i, count = 0;
	int error;

	if (routers_none())
		return 0;
	error = rules_sorted(&all, &count);
	if (error)
		return error;
	error = rules_copy(all, count, &copy, &count);
	for (i = 0; i < count && !error; i++)
		error = keep(f, &copy[i].rule);
	return error;
}
