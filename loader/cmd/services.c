// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/services.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/steer.h"
#include "rules/routers.h"
#include "rules/rule.h"
#include "rules/rule_store.h"
#include "rules/shadowed.h"
#include "util/cleanup.h"
#include "util/log.h"

/* All rules for the same packets, newest first. The first is in force. */
struct stack {
	__u32 count;
	struct shunt_rule rule[1 + SHUNT_SHADOWS];
};

static bool same_service(const struct shunt_rule *a, const struct shunt_rule *b)
{
	if (strcmp(a->service, b->service))
		return false;
	/* two routers on this host may have the same service */
	return a->router == b->router || !a->router || !b->router || router_gone(a->router);
}

/* Leaves out shadowed rules of the same service as the rule in force: a killed command may have left
 * a copy there. */
static int stack_read(const struct shunt_rule *match, struct stack *ret)
{
	const struct shunt_rule *was = rules_find(match);
	struct shunt_shadows s;
	int error;
	__u32 i;

	ret->count = 0;
	if (!was)
		return 0;
	error = shadows_get(match, &s);
	if (error)
		return error;
	ret->rule[ret->count++] = *was;
	for (i = 0; i < s.count; i++) {
		ret->rule[ret->count] = shadow_rule(was, &s.shadow[i]);
		if (!same_service(&ret->rule[ret->count], was))
			ret->count++;
	}
	return 0;
}

static struct shunt_shadows shadows_of(const struct stack *s)
{
	struct shunt_shadows shadows = { .count = s->count ? s->count - 1 : 0 };
	__u32 i;

	for (i = 0; i < shadows.count; i++)
		shadows.shadow[i] = shadow_of(&s->rule[1 + i]);
	return shadows;
}

/* Puts the first rule in force. Its interface may have been made again since. */
static int enter_first(const struct stack *s)
{
	struct shunt_rule first = s->rule[0];
	bool added;

	if (*first.ifname && !rule_is_local(&first))
		rule_find_iface(&first);
	return rules_add(&first, &added);
}

/* Writes a stack that has become smaller. After a kill between the two steps, the rule that comes back
 * is still among the shadowed ones, too, where stack_read() ignores it. */
static int stack_shrink(const struct shunt_rule *match, const struct stack *s)
{
	struct shunt_shadows shadows = shadows_of(s);
	int error = s->count ? enter_first(s) : rules_del(match);

	return error || !s->count ? error : shadows_put(match, &shadows);
}

static void stack_remove(struct stack *s, __u32 i)
{
	memmove(&s->rule[i], &s->rule[i + 1], (--s->count - i) * sizeof(s->rule[0]));
}

static void make_room(struct stack *s)
{
	if (s->count <= SHUNT_SHADOWS)
		return;
	s->count--;
	say("service '%s': no room for more than %d rules for the same packets; its rule is deleted",
	    s->rule[s->count].service, 1 + SHUNT_SHADOWS);
}

/* After a kill before the new rule is in force, the old rule is among the shadowed ones, too, where
 * stack_read() ignores it. */
int service_add(const struct shunt_rule *r)
{
	struct shunt_shadows before, after;
	struct stack s;
	__u32 i;
	int error = stack_read(r, &s);

	if (error)
		return error;
	error = shadows_get(r, &before);
	if (error)
		return error;
	for (i = s.count; i--;)
		if (same_service(&s.rule[i], r))
			stack_remove(&s, i);
	make_room(&s);
	memmove(&s.rule[1], &s.rule[0], s.count++ * sizeof(s.rule[0]));
	s.rule[0] = *r;
	after = shadows_of(&s);
	error = before.count || after.count ? shadows_put(r, &after) : 0;
	if (error)
		return error;
	error = enter_first(&s);
	if (error && (before.count || after.count))
		shadows_put(r, &before);
	return error;
}

static bool is_anothers(const struct shunt_rule *r, __u8 router)
{
	return router && r->router && r->router != router && !router_gone(r->router);
}

/* Whether the listener is there; true if that can't be found out. */
static bool is_heard(const struct shunt_rule *r)
{
	return r->action != SHUNT_STEER || rule_listens(r) != LISTENER_NONE;
}

/* The index of the rule to delete; -1: none. */
static int choose(const struct stack *s, __u8 router)
{
	int first = -1;
	__u32 i, left = 0;

	for (i = 0; i < s->count; i++) {
		if (is_anothers(&s->rule[i], router))
			continue;
		if (first < 0)
			first = i;
		left++;
	}
	for (i = 0; i < s->count && left > 1; i++)
		if (!is_anothers(&s->rule[i], router) && !is_heard(&s->rule[i]))
			return i;
	return first;
}

int service_del(const struct shunt_rule *match, __u8 router)
{
	struct stack s;
	int error = stack_read(match, &s), i;

	if (error)
		return error;
	i = choose(&s, router);
	if (i < 0)
		return -ENOENT;
	stack_remove(&s, i);
	return stack_shrink(match, &s);
}

/* Deletes the rules for which is_old() is true, and adds their number to *deleted. */
static int delete_those(const struct shunt_rule *match, bool (*is_old)(const struct shunt_rule *r),
			__u32 *deleted)
{
	struct stack s;
	__u32 i, before;
	int error = stack_read(match, &s);

	if (error)
		return error;
	before = s.count;
	for (i = s.count; i--;)
		if (is_old(&s.rule[i]))
			stack_remove(&s, i);
	*deleted += before - s.count;
	return before == s.count ? 0 : stack_shrink(match, &s);
}

static bool is_unheard(const struct shunt_rule *r)
{
	return !is_heard(r);
}

int services_prune(const struct shunt_rule *match)
{
	__u32 deleted = 0;

	return delete_those(match, is_unheard, &deleted);
}

static bool is_orphan(const struct shunt_rule *r)
{
	return router_gone(r->router);
}

/* Looks at rules without a router, too, if there are shadowed rules: they may shadow rules of routers. */
static int sweep(const struct shunt_rule *const *all, __u32 count, __u32 *deleted)
{
	_cleanup_free_ struct shunt_rule *copy = calloc(count + 1, sizeof(*copy));
	bool none = shadows_none();
	__u32 i, found = 0;
	int error = 0;

	if (!copy)
		return fail(-ENOMEM, "the rules");
	for (i = 0; i < count; i++)
		if (!none || all[i]->router)
			copy[found++] = *all[i];
	for (i = 0; i < found && !error; i++)
		error = delete_those(&copy[i], is_orphan, deleted);
	return error;
}

int services_sweep(void)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	__u32 count = 0, deleted = 0;
	int error;

	if (!routers_gone())
		return 0;
	error = rules_sorted(&all, &count);
	if (error)
		return error;
	error = sweep(all, count, &deleted);
	if (deleted)
		say("%u rule%s of a router that has ended %s deleted", deleted,
		    deleted == 1 ? "" : "s", deleted == 1 ? "is" : "are");
	if (error)
		return error;
	routers_forget();
	return 0;
}
