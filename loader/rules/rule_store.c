// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change to one rule is made in the store that is in force (rules/node_rules.h). If that store
 * has no room, all rules are written to a new store, which takes the place of the old one in
 * one step. The new store has no units that nothing leads to. A whole set of rules is put in
 * force in the same way.
 */
#include "rules/rule_store.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/pins.h"
#include "rules/counters.h"
#include "rules/node_rules.h"
#include "rules/prefix_nodes.h"
#include "rules/rebuild.h"
#include "rules/rule_find.h"
#include "rules/shadowed.h"
#include "rules/store_journal.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/options.h"

static struct store store = { .array = { .fd = -1 } };
static struct shunt_conf *conf;

static bool find_rule(const struct shunt_rule *match, struct rule_ref *ret)
{
	return store_find_rule(&store, match, 0, ret);
}

const struct shunt_rule *rules_find(const struct shunt_rule *match)
{
	struct rule_ref f;

	return find_rule(match, &f) ? rule_in(&store, f.rule) : NULL;
}

const struct shunt_rule *rules_at(__u32 unit)
{
	return unit ? rule_in(&store, unit) : NULL;
}

__u32 rules_count(void)
{
	return store.journal->rules;
}

int rules_validate(char ret_fault[STORE_FAULT])
{
	return store_validate(&store, ret_fault);
}

void rules_counts(const struct shunt_rule *r, struct rule_counts *ret)
{
	counters_read(r->counters, ret);
}

static int by_order(const void *a, const void *b)
{
	const struct shunt_rule *const *x = a, *const *y = b;

	return rule_order(*x, *y);
}

int rules_sorted(const struct shunt_rule ***ret, __u32 *ret_count)
{
	struct rule_list all;
	int error = store_rules(&store, &all);

	if (error)
		return error;
	sort_array(all.rule, all.count, sizeof(*all.rule), by_order);
	*ret = all.rule;
	*ret_count = all.count;
	return 0;
}

/* Ends the counters of rules that the store no longer has, and with them the flows of these rules. */
static void close_free_counters(struct store *s)
{
	__u32 i;

	for (i = 0; i < s->journal->free_count; i++)
		counters_end(*free_counters_at(s, i));
	__atomic_store_n(&s->journal->must_close, 0, __ATOMIC_SEQ_CST);
}

#define BUILD_TRIES 8

/* Writes rules, in the order of rule_cmp_by_node(), to a new store and puts that in force. */
static int install(const struct shunt_rule *const *all, __u32 count, __u32 counters_top)
{
	int error = -EAGAIN, tries = BUILD_TRIES;
	struct store s;

	while (error == -EAGAIN && tries--)
		error = store_build(all, count, counters_top, &s);
	if (error)
		return error == -ENOMEM || error == -EAGAIN
			       ? fail(error, "can't arrange %u rules", count)
			       : error;
	error = store_install(&s);
	if (error) {
		store_close(&s);
		return error;
	}
	store_close(&store);
	store = s;
	close_free_counters(&store);
	return 0;
}

/* Writes all rules to a larger store. */
static int rebuild(void)
{
	struct rule_list all;
	int error = store_rules(&store, &all);

	if (error)
		return error;
	sort_array(all.rule, all.count, sizeof(*all.rule), rule_cmp_by_node);
	error = install(all.rule, all.count, store.journal->counters_top);
	free(all.rule);
	return error;
}

static int check_room(__u32 count)
{
	if (count <= conf->max_rules)
		return 0;
	return deny(-ENOSPC, "no room for more than %u rules; load with a larger --max-rules",
		    conf->max_rules);
}

/* Removes the rule with the same match; if ifindex is not 0, only one with that ifindex. Returns
 * -ENOENT or -EAGAIN (the store has no room) without a message. */
static int try_del(const struct shunt_rule *match, __u32 ifindex, bool frees_counters)
{
	struct journal_entry e = { .rules = -1, .frees_counters = frees_counters };
	struct rule_ref f;

	if (!store_find_rule(&store, match, ifindex, &f))
		return -ENOENT;
	if (!slots_have_room(&store, SLOTS_INDEX, 4))
		return -EAGAIN;
	e.counters = rule_in(&store, f.rule)->counters;
	return node_change(&store, f.node, &f.ref, 0, f.rule, &e);
}

static int remove_rule(const struct shunt_rule *match, __u32 ifindex, bool frees_counters)
{
	int error, tries = BUILD_TRIES;

	while ((error = try_del(match, ifindex, frees_counters)) == -EAGAIN && tries--) {
		error = rebuild();
		if (error)
			return error;
	}
	return error && error != -ENOENT ? fail(error, "can't remove the rule") : error;
}

/* Writes the rule and puts it in force. If was is not 0, the rule takes the place of the rule at
 * that unit, which is of the same node. */
static int write_rule(const struct shunt_rule *r, __u32 counters, __u32 was)
{
	struct journal_entry e = { .rules = !was };
	struct shunt_node *node;
	struct shunt_rule *to;
	struct index_ref ref;
	__u32 unit;
	int error;

	error = register_rule_iface(&store, r);
	if (error)
		return error;
	error = node_for_rule(&store, r, &ref, &node);
	if (error)
		return error;
	unit = store_alloc(&store, 2);
	if (!unit)
		return -EAGAIN;
	to = rule_in(&store, unit);
	*to = *r;
	to->node = node->id;
	to->counters = counters;
	return node_change(&store, node, &ref, unit, was, &e);
}

#define NEW_COUNTERS 0xffffffff

static int try_put(const struct shunt_rule *r, __u32 counters)
{
	bool new = counters == NEW_COUNTERS;
	struct rule_ref f;
	__u32 was = store_find_rule(&store, r, r->ifindex, &f) ? f.rule : 0;
	int error;

	if (!slots_have_room(&store, SLOTS_INDEX, 16) || !slots_have_room(&store, SLOTS_FILTER, 16))
		return -EAGAIN;
	if (new) {
		error = counters_take(&store, &counters);
		if (error)
			return error;
	}
	error = write_rule(r, counters, was);
	if (error && new)
		counters_free(&store, counters);
	else if (!new)
		counters_set_last_hit(counters);
	return error;
}

/* Enters the rule, with new counters or these. try_put() takes new counters only if the rule fits:
 * a rebuild would free counters that no rule has yet. */
static int put(const struct shunt_rule *r, __u32 counters)
{
	int error, tries = BUILD_TRIES;

	while ((error = try_put(r, counters)) == -EAGAIN && tries--) {
		error = rebuild();
		if (error)
			return error;
	}
	return error ? fail(error, "can't enter the rule") : 0;
}

/* The interface has another index than when the rule was made. The new rule goes to the node of
 * the present index, and the rule at the old index, which no packet meets any more, is removed. */
static int move_to_iface(const struct shunt_rule *r, const struct shunt_rule *was)
{
	struct shunt_rule old = *was;
	int error = put(r, old.counters);

	return error ? error : remove_rule(&old, old.ifindex, false);
}

static int enter_new(const struct shunt_rule *r)
{
	int error = check_room(store.journal->rules + 1);

	return error ? error : put(r, NEW_COUNTERS);
}

static int enter_again(const struct shunt_rule *r, const struct shunt_rule *was)
{
	if (was->ifindex != r->ifindex)
		return move_to_iface(r, was);
	return rule_same_effect(was, r) ? 0 : put(r, was->counters);
}

static int enter(const struct shunt_rule *r, bool *ret_new)
{
	const struct shunt_rule *was = rules_find(r);
	bool new = !was;
	int error = was ? enter_again(r, was) : enter_new(r);

	if (error)
		return error;
	*ret_new = new;
	return 0;
}

int rules_add(const struct shunt_rule *r, bool *ret_new)
{
	int error = netns_require_loaded();

	return error ? error : enter(r, ret_new);
}

/* A command that was killed in move_to_iface() may have left two rules. */
int rules_del(const struct shunt_rule *match)
{
	const struct shunt_shadows none = {};
	int error = shadows_put(match, &none);

	if (error)
		return error;
	do {
		error = remove_rule(match, 0, true);
		if (error)
			return error;
	} while (*match->ifname && rules_find(match));
	return 0;
}

/* Copies the rule and gives it the counters of the rule in force with the same match, else new
 * ones. */
static int copy_with_counters(const struct shunt_rule *r, struct shunt_rule *ret)
{
	const struct shunt_rule *was = rules_find(r);

	*ret = *r;
	if (!was)
		return counters_take(&store, &ret->counters);
	ret->counters = was->counters;
	return 0;
}

int rules_replace(const struct shunt_rule *const *all, __u32 count)
{
	_cleanup_free_ struct shunt_rule *copy = calloc(count + 1, sizeof(*copy));
	_cleanup_free_ const struct shunt_rule **order = calloc(count + 1, sizeof(*order));
	int error = netns_require_loaded();
	__u32 i;

	if (error)
		return error;
	error = check_room(count);
	if (error)
		return error;
	if (!copy || !order)
		return fail(-ENOMEM, "%u rules", count);
	for (i = 0; i < count; i++) {
		error = copy_with_counters(all[i], &copy[i]);
		if (error)
			return error;
		order[i] = &copy[i];
	}
	sort_array(order, count, sizeof(*order), rule_cmp_by_node);
	return install(order, count, store.journal->counters_top);
}

static bool is_rebound(const char *name, __u32 ifindex)
{
	__u32 now = 0;

	return *name && ifindex != SHUNT_LOCAL_IFINDEX && !iface_index(name, &now) && now &&
	       now != ifindex;
}

/* Whether an interface has another index than rules have. True also for interfaces whose rules were
 * moved or deleted since. */
static bool may_rebind(void)
{
	const struct shunt_rule_iface *scope;
	__u32 i;

	for (i = 0; i < store.header->iface_count; i++) {
		scope = rule_iface_at(&store, i);
		if (is_rebound(scope->ifname, scope->ifindex))
			return true;
	}
	return false;
}

/* Copies the rules to be moved, because a change may move all rules in memory. The caller frees
 * *ret. */
static int copy_rebound(struct shunt_rule **ret, __u32 *ret_count)
{
	_cleanup_free_ const struct shunt_rule **rules = NULL;
	struct shunt_rule *copy;
	struct rule_list all;
	__u32 i, count = 0;
	int error = store_rules(&store, &all);

	if (error)
		return error;
	rules = all.rule;
	copy = calloc(all.count + 1, sizeof(*copy));
	if (!copy)
		return fail(-ENOMEM, "the rules");
	for (i = 0; i < all.count; i++)
		if (is_rebound(rules[i]->ifname, rules[i]->ifindex))
			copy[count++] = *rules[i];
	*ret = copy;
	*ret_count = count;
	return 0;
}

/* Moves the rule to the present index of its interface. */
static int rebind(struct shunt_rule *r)
{
	bool new;
	int error = rule_find_iface(r);

	return error ? error : enter(r, &new);
}

int rules_rebind(void)
{
	_cleanup_free_ struct shunt_rule *copy = NULL;
	__u32 i, count = 0;
	int error;

	if (!may_rebind())
		return 0;
	error = copy_rebound(&copy, &count);
	if (error)
		return error;
	for (i = 0; i < count; i++) {
		error = rebind(&copy[i]);
		if (error)
			return error;
	}
	return 0;
}

int rules_flush(void)
{
	int error = shadows_clear();

	return error ? error : install(NULL, 0, store.journal->counters_top);
}

static int open_maps(void)
{
	int error;

	conf = conf ? conf : pin_mmap(HALF_STEER, "shunt_conf", NULL);
	if (!conf)
		return -errno;
	error = store_open(&store);
	return error ? error : counters_open(conf->shards);
}

int rules_open(void)
{
	int error = open_maps();

	if (error)
		return fail(error, "can't open the rules in '%s'", opt.pin_dir);
	journal_repair(&store);
	if (store.journal->must_close)
		close_free_counters(&store);
	return 0;
}

void rules_close(void)
{
	store_close(&store);
	counters_close();
}
