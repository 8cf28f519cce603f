// SPDX-License-Identifier: GPL-2.0-only
/*
 * One store to a link (a group's first, a rule's next) puts a rule in force or
 * out of it; everything before and after that store changes nothing for any
 * packet, wherever the command is killed:
 *
 * - A rule is written to a free slot, then linked. It is replaced by linking
 *   another slot in its place.
 * - A group is made empty, entered in the trie, and made the parent of the
 *   groups below it, before it gets its first rule. It goes the other way, so
 *   an empty group is one that a killed command left.
 * - A slot that is no longer linked is retired: it keeps its contents, since a
 *   program may stand on it, until one wait has been made for many of them.
 *   A free slot is all zero, a retired one only has its used cleared.
 */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "pins.h"
#include "rule.h"
#include "shunt.h"

/* So many retired slots are worth a wait (some 10 ms) to be used again. */
#define RETIRED_MAX 256

struct slots {
	void *base;
	size_t size;
	__u32 *top;     /* in shunt_conf: no index from here on was ever used */
	__u32 free_count;
	__u32 retired_count;
	__u32 free[SHUNT_RULES];
	__u32 retired[SHUNT_RULES];
};

static struct shunt_rule *rules;
static struct shunt_group *groups;
static struct slots rule_slots = { .size = sizeof(struct shunt_rule) };
static struct slots group_slots = { .size = sizeof(struct shunt_group) };
static int dst4_fd = -1, dst6_fd = -1;

static void publish(__u32 *link, __u32 index)
{
	__atomic_store_n(link, index, __ATOMIC_RELEASE);
}

/* The kernel waits for running programs when a map inside a map is replaced.
 * (It does in membarrier() too, but not on a host with nohz_full CPUs.) */
int rules_wait(void)
{
	_cleanup_fd_ int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shunt_wait", 4, 4, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, in_it, .inner_map_fd = inner);
	_cleanup_fd_ int outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "shunt_wait", 4, 4, 1,
						&in_it);
	__u32 zero = 0;

	if (inner < 0 || outer < 0)
		return fail(inner < 0 ? inner : outer, "can't make a map to wait for programs");
	if (bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
		return fail(-errno, "can't wait for running programs");
	return 0;
}

static void *slot_at(const struct slots *s, __u32 index)
{
	return (char *)s->base + (size_t)index * s->size;
}

static int reclaim(struct slots *s)
{
	int error = rules_wait();

	if (error)
		return error;
	while (s->retired_count) {
		__u32 index = s->retired[--s->retired_count];

		memset(slot_at(s, index), 0, s->size);
		s->free[s->free_count++] = index;
	}
	return 0;
}

/* A slot that no program can be on, to be given back by slot_return() if it
 * isn't used after all. */
static int slot_take(struct slots *s, __u32 *ret)
{
	bool full = *s->top == SHUNT_RULES;
	int error;

	if (!s->free_count && (s->retired_count >= RETIRED_MAX || (full && s->retired_count))) {
		error = reclaim(s);
		if (error)
			return error;
	}
	if (s->free_count) {
		*ret = s->free[--s->free_count];
		return 0;
	}
	if (full)
		return deny(-ENOSPC, "no room for more than %d rules", SHUNT_RULES - 1);
	*ret = *s->top;
	publish(s->top, *s->top + 1);
	return 0;
}

static void slot_return(struct slots *s, __u32 index)
{
	s->free[s->free_count++] = index;
}

static void rule_retire(__u32 index)
{
	rules[index].used = 0;
	rule_slots.retired[rule_slots.retired_count++] = index;
}

static void group_retire(__u32 index)
{
	groups[index].used = 0;
	group_slots.retired[group_slots.retired_count++] = index;
}

union trie_key {
	struct shunt_dst4 dst4;
	struct shunt_dst6 dst6;
};

/* Fills in the key for a destination prefix; returns the trie. */
static int trie_key(__u8 family, __u8 proto, const __u8 *dst, __u8 len, union trie_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		ret->dst4.len = SHUNT_DST_HEAD + len;
		ret->dst4.proto = proto;
		memcpy(ret->dst4.dst, dst, sizeof(ret->dst4.dst));
		return dst4_fd;
	}
	ret->dst6.len = SHUNT_DST_HEAD + len;
	ret->dst6.proto = proto;
	memcpy(ret->dst6.dst, dst, sizeof(ret->dst6.dst));
	return dst6_fd;
}

/* The group of the longest prefix that holds all of r's destination. */
static __u32 covering_group(const struct shunt_rule *r)
{
	union trie_key key;
	int trie = trie_key(r->family, r->proto, r->dst, r->dst_len, &key);
	__u32 group;

	return bpf_map_lookup_elem(trie, &key, &group) ? 0 : group;
}

static __u32 group_of(const struct shunt_rule *r)
{
	__u32 group = covering_group(r);

	return group && groups[group].dst_len == r->dst_len ? group : 0;
}

static bool holds(const struct shunt_group *g, const struct shunt_group *longer)
{
	__u8 dst[16];

	if (g->family != longer->family || g->proto != longer->proto ||
	    g->dst_len >= longer->dst_len)
		return false;
	memcpy(dst, longer->dst, sizeof(dst));
	mask_address(dst, g->dst_len);
	return !memcmp(dst, g->dst, sizeof(dst));
}

/* Makes group the parent of those below it, which skip it as yet. */
static void adopt(__u32 group)
{
	__u32 i, parent = groups[group].parent;

	for (i = 1; i < *group_slots.top; i++)
		if (i != group && groups[i].used && groups[i].parent == parent &&
		    holds(&groups[group], &groups[i]))
			publish(&groups[i].parent, group);
}

/* Lets the groups below this one, which is empty, skip it. */
static void orphan(__u32 group)
{
	__u32 i;

	for (i = 1; i < *group_slots.top; i++)
		if (groups[i].used && groups[i].parent == group)
			publish(&groups[i].parent, groups[group].parent);
}

static int group_add(const struct shunt_rule *r, __u32 *ret)
{
	union trie_key key;
	int error, trie = trie_key(r->family, r->proto, r->dst, r->dst_len, &key);
	struct shunt_group *g;
	__u32 index;

	error = slot_take(&group_slots, &index);
	if (error)
		return error;
	g = &groups[index];
	*g = (struct shunt_group){
		.parent = covering_group(r),
		.family = r->family,
		.proto = r->proto,
		.dst_len = r->dst_len,
	};
	memcpy(g->dst, r->dst, sizeof(g->dst));
	publish(&g->used, 1);
	if (bpf_map_update_elem(trie, &key, &index, BPF_ANY)) {
		error = fail(-errno, "can't enter the destination prefix");
		g->used = 0;
		slot_return(&group_slots, index);
		return error;
	}
	adopt(index);
	*ret = index;
	return 0;
}

static void group_remove(__u32 group)
{
	const struct shunt_group *g = &groups[group];
	union trie_key key;
	int trie = trie_key(g->family, g->proto, g->dst, g->dst_len, &key);

	/* If that fails it does no harm; the next command tries again. */
	if (bpf_map_delete_elem(trie, &key) && errno != ENOENT)
		return;
	orphan(group);
	group_retire(group);
}

/* The link that leads to r, or where r belongs, in its group. */
static __u32 *link_of(__u32 group, const struct shunt_rule *r)
{
	__u32 *link = &groups[group].first;

	while (*link && rule_compare(&rules[*link], r) < 0)
		link = &rules[*link].next;
	return link;
}

/* The link that leads to the rule with this match, NULL if there is none. */
static __u32 *find_link(const struct shunt_rule *match, __u32 *ret_group)
{
	__u32 *link, group = group_of(match);

	if (!group)
		return NULL;
	link = link_of(group, match);
	if (!*link || rule_compare(&rules[*link], match))
		return NULL;
	*ret_group = group;
	return link;
}

static void rule_write(__u32 index, const struct shunt_rule *r, __u32 next)
{
	rules[index] = *r;
	rules[index].used = 0;
	rules[index].next = next;
	__atomic_store_n(&rules[index].used, 1, __ATOMIC_RELEASE);
}

static void add_counters(struct shunt_rule *to, const struct shunt_rule *now,
			 const struct shunt_rule *before)
{
	__atomic_fetch_add(&to->packets, now->packets - before->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->bytes, now->bytes - before->bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->flows, now->flows - before->flows, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->misses, now->misses - before->misses, __ATOMIC_RELAXED);
}

static int rule_replace(__u32 *link, const struct shunt_rule *r)
{
	__u32 slot, index = *link;
	struct shunt_rule before = rules[index], after = *r;
	int error = slot_take(&rule_slots, &slot);

	if (error)
		return error;
	after.packets = before.packets;
	after.bytes = before.bytes;
	after.flows = before.flows;
	after.misses = before.misses;
	rule_write(slot, &after, before.next);
	publish(link, slot);
	add_counters(&rules[slot], &rules[index], &before);
	rule_retire(index);
	return 0;
}

static int rule_insert(const struct shunt_rule *r)
{
	__u32 slot, *link, group = group_of(r);
	int error = slot_take(&rule_slots, &slot);

	if (error)
		return error;
	if (!group) {
		error = group_add(r, &group);
		if (error) {
			slot_return(&rule_slots, slot);
			return error;
		}
	}
	link = link_of(group, r);
	rule_write(slot, r, *link);
	publish(link, slot);
	return 0;
}

int rules_add(const struct shunt_rule *r, bool *ret_new)
{
	__u32 group, *link = find_link(r, &group);
	int error = 0;

	if (!link)
		error = rule_insert(r);
	else if (!rule_same_effect(&rules[*link], r))
		error = rule_replace(link, r);
	if (!error)
		*ret_new = !link;
	return error;
}

int rules_del(const struct shunt_rule *match)
{
	__u32 index, group, *link = find_link(match, &group);

	if (!link)
		return -ENOENT;
	index = *link;
	publish(link, rules[index].next);
	rule_retire(index);
	if (!groups[group].first)
		group_remove(group);
	return 0;
}

int rules_flush(void)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	__u32 count = 0;
	int error = rules_sorted(&all, &count);

	while (!error && count)
		error = rules_del(all[--count]);
	return error;
}

const struct shunt_rule *rules_find(const struct shunt_rule *match)
{
	__u32 group, *link = find_link(match, &group);

	return link ? &rules[*link] : NULL;
}

const struct shunt_rule *rules_at(__u32 index)
{
	return index < *rule_slots.top && rules[index].used ? &rules[index] : NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct shunt_rule *const *x = a, *const *y = b;
	const struct shunt_rule *r = *x, *s = *y;

	/* AF_INET and IPPROTO_TCP are the lower numbers. */
	if (r->family != s->family)
		return r->family - s->family;
	if (r->proto != s->proto)
		return r->proto - s->proto;
	if (r->dst_len != s->dst_len)
		return s->dst_len - r->dst_len;
	return memcmp(r->dst, s->dst, sizeof(r->dst)) ?: rule_compare(r, s);
}

int rules_sorted(const struct shunt_rule ***ret, __u32 *ret_count)
{
	const struct shunt_rule **all = calloc(*rule_slots.top + 1, sizeof(*all));
	__u32 i, count = 0;

	if (!all)
		return fail(-ENOMEM, "the rules");
	for (i = 1; i < *rule_slots.top; i++)
		if (rules[i].used)
			all[count++] = &rules[i];
	qsort(all, count, sizeof(*all), by_place);
	*ret = all;
	*ret_count = count;
	return 0;
}

/* Retires the rules that no link leads to. */
static void collect_rules(void)
{
	static bool linked[SHUNT_RULES];
	__u32 group, i;

	memset(linked, 0, sizeof(linked));
	for (group = 1; group < *group_slots.top; group++)
		if (groups[group].used)
			for (i = groups[group].first; i; i = rules[i].next)
				linked[i] = true;
	for (i = 1; i < *rule_slots.top; i++) {
		if (linked[i])
			continue;
		if (rules[i].used || rules[i].family)
			rule_retire(i);
		else
			slot_return(&rule_slots, i);
	}
}

/* Retires the groups without a rule. */
static void collect_groups(void)
{
	__u32 i;

	for (i = 1; i < *group_slots.top; i++) {
		if (groups[i].used) {
			if (!groups[i].first)
				group_remove(i);
		} else if (groups[i].family) {
			group_retire(i);
		} else {
			slot_return(&group_slots, i);
		}
	}
}

static int open_maps(void)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);

	if (!conf)
		return -errno;
	rules = pin_mmap("shunt_rules", NULL);
	if (!rules)
		return -errno;
	groups = pin_mmap("shunt_groups", NULL);
	if (!groups)
		return -errno;
	dst4_fd = pin_open("maps", "shunt_dst4");
	if (dst4_fd < 0)
		return dst4_fd;
	dst6_fd = pin_open("maps", "shunt_dst6");
	if (dst6_fd < 0)
		return dst6_fd;
	rule_slots.base = rules;
	rule_slots.top = &conf->rules;
	rule_slots.free_count = rule_slots.retired_count = 0;
	group_slots.base = groups;
	group_slots.top = &conf->groups;
	group_slots.free_count = group_slots.retired_count = 0;
	return 0;
}

int rules_open(void)
{
	int error = open_maps();

	if (error)
		return fail(error, "can't open the rules in '%s'", opt.pin_dir);
	/* index 0 is never used */
	if (!*rule_slots.top)
		publish(rule_slots.top, 1);
	if (!*group_slots.top)
		publish(group_slots.top, 1);
	collect_rules();
	collect_groups();
	return 0;
}

int rules_lock(void)
{
	_cleanup_fd_ int lock = pins_lock(false);
	_cleanup_fd_ int prog = -1;
	int error;

	if (lock < 0)
		return lock == -ENOENT ? not_loaded() : lock;
	prog = pin_open("progs", "shunt_steer");
	if (prog == -ENOENT)
		return deny(prog, "steering is not loaded; 'shunt load --iface NAME' loads it");
	if (prog < 0)
		return fail(prog, "can't open the steering program in '%s'", opt.pin_dir);
	error = rules_open();
	if (error)
		return error;
	return take_fd(&lock);
}
