// SPDX-License-Identifier: GPL-2.0-only
/*
 * One store to a slot of the index puts a rule in force or out of it;
 * everything before and after that store changes nothing for any packet,
 * wherever the command is killed:
 *
 * - Units that something leads to never change: a node, a list, a table of
 *   ranges is written anew, to units that were never used, and then its slot
 *   is made to lead there.
 * - The filter, and the flags of a destination's node, may name prefixes that
 *   are not there: then a search finds no node and goes on. They are set before
 *   the node is entered, and never cleared.
 */
#include "rules/prefix_nodes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <shunt/rule_hash.h>
#include "rules/counters.h"
#include "util/array.h"
#include "util/cleanup.h"

static void journal_finish(struct store *s)
{
	struct shunt_store_journal *b = s->journal;

	b->rules = b->change_rules;
	if (b->change_counters)
		counters_free(s, b->change_counters - 1);
	__atomic_store_n(&b->change_slot, 0, __ATOMIC_SEQ_CST);
}

static void journal_publish(struct store *s, __u32 slot, __u64 hash, __u32 value,
		    const struct journal_entry *o)
{
	struct shunt_store_journal *b = s->journal;

	b->change_rules = b->rules + o->rules;
	b->change_counters = o->frees_counters ? o->counters + 1 : 0;
	b->change_value = (__u64)tag_of(hash) << 32 | value;
	__atomic_store_n(&b->change_slot, slot + 1, __ATOMIC_SEQ_CST);
	slot_set(s, SLOTS_INDEX, slot, hash, value);
	journal_finish(s);
}

void journal_repair(struct store *s)
{
	struct shunt_store_journal *b = s->journal;

	if (!b->change_slot)
		return;
	if (slot_get(s, SLOTS_INDEX, b->change_slot - 1) == b->change_value)
		journal_finish(s);
	b->change_slot = 0;
}

/* Names a node. */
struct node_key {
	__u32 parent;
	__u32 len;
	__u32 ifindex;
	struct bits p;
};

static struct bits aligned_bits(const __u8 addr[16])
{
	__u8 copy[16] __attribute__((aligned(8)));

	memcpy(copy, addr, sizeof(copy));
	return bits_of(copy);
}

static unsigned int ones(__u64 n)
{
	return __builtin_popcountll(n);
}

/* Trying all lengths takes a probe each, the filter one for each level and for
 * each prefix that it finds. */
static void register_length(struct store *s, __u32 table, __u32 len)
{
	__u64 *hi = &s->lengths->by_table[table].hi, *lo = &s->lengths->by_table[table].lo;

	if (len > 64)
		__atomic_store_n(lo, *lo | 1ULL << (len - 65), __ATOMIC_RELEASE);
	else if (len)
		__atomic_store_n(hi, *hi | 1ULL << (len - 1), __ATOMIC_RELEASE);
	else
		s->header->has_len0[table] = 1;
	s->header->try_all_lengths[table] = ones(*hi) + ones(*lo) <= ones(s->header->levels[table]) + 1;
}

static struct node_key dst_key(const struct shunt_rule *r)
{
	return (struct node_key){
		.parent = table_of(r->family, r->proto),
		.len = r->dst_len,
		.p = aligned_bits(r->dst),
	};
}

static struct node_key src_key(const struct shunt_rule *r, __u32 id, __u32 ifindex)
{
	return (struct node_key){
		.parent = id,
		.len = r->src_len,
		.ifindex = ifindex,
		.p = aligned_bits(r->src),
	};
}

bool has_src_node(const struct shunt_rule *r)
{
	return r->src_len || *r->ifname;
}

static __u64 hash_of(struct store *s, const struct node_key *k)
{
	return node_hash(s->header->seed, k->parent, k->len, k->ifindex, k->p);
}

struct index_ref index_find(struct store *s, __u64 hash)
{
	struct index_ref p = { .hash = hash };

	p.slot = slot_find(s, SLOTS_INDEX, hash, &p.room);
	if (p.slot != NO_SLOT)
		p.value = slot_get(s, SLOTS_INDEX, p.slot);
	if (p.slot != NO_SLOT && !p.value)
		p.room = p.slot;
	return p;
}

/* -EAGAIN: another key has the same tag, or there is no slot; another store
 * will do. */
static int node_find(struct store *s, const struct node_key *k, struct index_ref *ret_ref,
		    struct shunt_node **ret)
{
	struct shunt_node *node = NULL;
	struct index_ref p = index_find(s, hash_of(s, k));

	if (p.value) {
		if ((p.value & SLOT_KIND_MASK) != SLOT_NODE)
			return -EAGAIN;
		node = store_at(s, p.value & ~SLOT_KIND_MASK, 1);
		if (node->parent != k->parent || node->len != k->len ||
		    node->ifindex != k->ifindex || node->hi != k->p.hi || node->lo != k->p.lo)
			return -EAGAIN;
	} else if (p.room == NO_SLOT) {
		return -EAGAIN;
	}
	*ret_ref = p;
	*ret = node;
	return 0;
}

static int filter_set(struct store *s, __u32 parent, __u32 level, struct bits p, __u32 bits)
{
	__u64 hash = filter_hash(s->header->seed, parent, level, p);
	__u32 room, slot = slot_find(s, SLOTS_FILTER, hash, &room);

	if (slot != NO_SLOT) {
		bits |= slot_get(s, SLOTS_FILTER, slot);
		room = slot;
	}
	if (room == NO_SLOT)
		return -EAGAIN;
	slot_set(s, SLOTS_FILTER, room, hash, bits);
	return 0;
}

/* Lets searches know the prefix; *levels is the bitmap of the parent. */
static int register_prefix(struct store *s, const struct node_key *k, bool v6, __u32 *levels)
{
	__u32 mark, level;
	int error;

	if (!k->len)
		return 0;
	level = level_of(k->len);
	error = filter_set(s, k->parent, level, k->p, filter_bit(k->p, k->len));
	for (mark = 8; !error && v6 && mark <= level; mark += 8)
		error = filter_set(s, k->parent, mark, k->p, FILTER_HAS_LONGER);
	if (!error)
		__atomic_store_n(levels, *levels | 1U << level, __ATOMIC_RELEASE);
	return error;
}

static struct shunt_node *node_new(struct store *s, const struct node_key *k)
{
	__u32 unit = store_alloc(s, 1);
	struct shunt_node *node;

	if (!unit)
		return NULL;
	node = store_at(s, unit, 1);
	*node = (struct shunt_node){
		.id = unit,
		.parent = k->parent,
		.hi = k->p.hi,
		.lo = k->p.lo,
		.len = k->len,
		.ifindex = k->ifindex,
	};
	return node;
}

/* The node of r's destination, made if need be: a new one is not yet in the
 * index. */
static int dst_node(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
		   struct shunt_node **ret)
{
	struct node_key k = dst_key(r);
	int error = node_find(s, &k, ret_ref, ret);

	if (error || *ret)
		return error;
	error = register_prefix(s, &k, r->family == AF_INET6, &s->header->levels[k.parent]);
	if (error)
		return error;
	register_length(s, k.parent, k.len);
	*ret = node_new(s, &k);
	return *ret ? 0 : -EAGAIN;
}

int node_for_rule(struct store *s, const struct shunt_rule *r, struct index_ref *ret_ref,
	     struct shunt_node **ret)
{
	static const struct journal_entry nothing;
	struct shunt_node *dst, *node;
	struct node_key k;
	int error = dst_node(s, r, ret_ref, &dst);

	if (error)
		return error;
	if (!has_src_node(r)) {
		*ret = dst;
		return 0;
	}
	if (!ret_ref->value)
		journal_publish(s, ret_ref->room, ret_ref->hash, SLOT_NODE | dst->id, &nothing);
	k = src_key(r, dst->id, r->ifindex);
	error = node_find(s, &k, ret_ref, &node);
	if (error)
		return error;
	if (!node) {
		error = register_prefix(s, &k, r->family == AF_INET6, &dst->src_levels);
		node = error ? NULL : node_new(s, &k);
	}
	if (k.ifindex)
		__atomic_store_n(&dst->has_iface_nodes, 1, __ATOMIC_RELEASE);
	*ret = node;
	return node ? 0 : -EAGAIN;
}

__u32 inline_count(const struct shunt_node *node)
{
	__u32 i = 0;

	while (i < SHUNT_INLINE_RULES && node->inline_rules[i].rule)
		i++;
	return i;
}

struct shunt_node *node_copy_empty(struct store *s, struct shunt_node *node, const struct index_ref *p,
			   __u32 *ret_unit)
{
	struct shunt_node *copy;
	__u32 unit;

	if (!p->value) {
		*ret_unit = node->id;
		return node;
	}
	unit = store_alloc(s, 1);
	if (!unit)
		return NULL;
	copy = store_at(s, unit, 1);
	*copy = *node;
	memset(copy->inline_rules, 0, sizeof(copy->inline_rules));
	*ret_unit = unit;
	return copy;
}

int port_slot_find(struct store *s, __u32 cells, __u32 node_id, __u16 port, struct index_ref *ret)
{
	struct index_ref p = index_find(s, port_hash(s->header->seed, cells, port));
	__u32 count, unit = p.value & ~SLOT_KIND_MASK;
	const struct shunt_rule *r;

	if (!p.value && p.room == NO_SLOT)
		return -EAGAIN;
	if (p.value) {
		if ((p.value & SLOT_KIND_MASK) == SLOT_NODE)
			return -EAGAIN;
		if ((p.value & SLOT_KIND_MASK) == SLOT_LIST)
			unit = *list_read(s, unit, &count);
		r = rule_in(s, unit);
		if (r->node != node_id || r->dport_low != port)
			return -EAGAIN;
	}
	*ret = p;
	return 0;
}

/* The value for the rules of one port. */
static __u32 port_slot_value(struct store *s, const struct rule_set *set)
{
	__u32 unit;

	if (set->count == 1)
		return SLOT_RULE | set->rule[0];
	unit = list_write(s, set->rule, set->count);
	return unit ? SLOT_LIST | unit : 0;
}

static int port_slots_write(struct store *s, const struct shunt_node *node, const __u32 *rule,
		       __u32 count)
{
	struct rule_set set;
	struct index_ref p;
	__u32 i, n, port, value;
	int error;

	/* Rules for single ports are the narrowest, but stand by source ports:
	 * those of one port are picked out. */
	for (i = 0; i < count; i += set.count) {
		port = rule_in(s, rule[i])->dport_low;
		for (n = 1; i + n < count && rule_in(s, rule[i + n])->dport_low == port; n++)
			;
		set = (struct rule_set){ (__u32 *)rule + i, n };
		error = port_slot_find(s, node->port_index_id, node->id, port, &p);
		if (error)
			return error;
		value = port_slot_value(s, &set);
		if (!value)
			return -EAGAIN;
		slot_set(s, SLOTS_INDEX, p.slot == NO_SLOT ? p.room : p.slot, p.hash, value);
	}
	return 0;
}

static struct store *sorting;

static int by_port(const void *a, const void *b)
{
	const struct shunt_rule *r = rule_in(sorting, *(const __u32 *)a);
	const struct shunt_rule *q = rule_in(sorting, *(const __u32 *)b);

	return r->dport_low - q->dport_low ?: rule_compare(r, q);
}

int node_fill(struct store *s, struct shunt_node *copy, __u32 unit, const __u32 *rule,
	     __u32 count)
{
	_cleanup_free_ __u32 *single = NULL, *range = NULL, *port_pairs = NULL;
	__u32 i, singles = 0, ranges = 0, pairs = 0;
	const struct shunt_rule *r;

	if (count <= SHUNT_INLINE_RULES) {
		for (i = 0; i < count; i++)
			copy->inline_rules[i] = range_of(s, rule[i]);
		return 0;
	}
	single = malloc(count * sizeof(*single));
	range = malloc(count * sizeof(*range));
	port_pairs = malloc(count * sizeof(*port_pairs));
	if (!single || !range || !port_pairs)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		r = rule_in(s, rule[i]);
		if (has_single_dport(r))
			single[singles++] = rule[i];
		else if (has_port_pair(r))
			port_pairs[pairs++] = rule[i];
		else
			range[ranges++] = rule[i];
	}
	/* never used before, so no cells are there that a killed command left */
	copy->port_index_id = unit;
	sorting = s;
	sort_array(single, singles, sizeof(*single), by_port);
	copy->ranges = ranges_write(s, range, ranges);
	copy->port_pair_rules = list_write(s, port_pairs, pairs);
	if ((ranges && !copy->ranges) || (pairs && !copy->port_pair_rules))
		return -EAGAIN;
	return port_slots_write(s, copy, single, singles);
}

static int change_inline(struct store *s, struct shunt_node *node, struct index_ref *p, __u32 add,
			__u32 del, const struct journal_entry *o)
{
	__u32 i, unit, now[SHUNT_INLINE_RULES], rule[SHUNT_INLINE_RULES + 1];
	struct rule_set set = { .rule = rule };
	struct shunt_node *copy = node_copy_empty(s, node, p, &unit);
	int error;

	if (!copy)
		return -EAGAIN;
	for (i = 0; i < inline_count(node); i++)
		now[i] = node->inline_rules[i].rule;
	rule_set_change(s, now, i, add, del, &set);
	error = node_fill(s, copy, unit, set.rule, set.count);
	if (!error)
		journal_publish(s, p->value ? p->slot : p->room, p->hash, SLOT_NODE | unit, o);
	return error;
}

static int change_port_slot(struct store *s, const struct shunt_node *node, __u16 port, __u32 add,
		       __u32 del, const struct journal_entry *o)
{
	_cleanup_free_ __u32 *rule = NULL;
	__u32 one, value = 0, count = 0;
	const __u32 *now = &one;
	struct rule_set set;
	struct index_ref p;
	int error = port_slot_find(s, node->port_index_id, node->id, port, &p);

	if (error)
		return error;
	one = p.value & ~SLOT_KIND_MASK;
	if ((p.value & SLOT_KIND_MASK) == SLOT_LIST)
		now = list_read(s, one, &count);
	else
		count = !!p.value;
	set.rule = rule = malloc((count + 1) * sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	rule_set_change(s, now, count, add, del, &set);
	if (set.count) {
		value = port_slot_value(s, &set);
		if (!value)
			return -EAGAIN;
	}
	journal_publish(s, p.value ? p.slot : p.room, p.hash, value, o);
	return 0;
}

static int change_ranges(struct store *s, struct shunt_node *node, struct index_ref *p, bool port_pairs,
			 __u32 add, __u32 del, const struct journal_entry *o)
{
	_cleanup_free_ __u32 *now = NULL, *rule = NULL;
	const struct shunt_range *range;
	struct shunt_node *copy;
	struct rule_set set;
	const __u32 *list;
	__u32 i, unit, count, *to;

	list = list_read(s, node->port_pair_rules, &count);
	range = port_pairs ? NULL : ranges_read(s, node->ranges, &count);
	now = malloc((count + 1) * sizeof(*now));
	set.rule = rule = malloc((count + 1) * sizeof(*rule));
	if (!now || !rule)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		now[i] = port_pairs ? list[i] : range[i].rule;
	rule_set_change(s, now, count, add, del, &set);
	copy = node_copy_empty(s, node, p, &unit);
	if (!copy)
		return -EAGAIN;
	copy->ranges = node->ranges;
	copy->port_pair_rules = node->port_pair_rules;
	to = port_pairs ? &copy->port_pair_rules : &copy->ranges;
	*to = port_pairs ? list_write(s, set.rule, set.count) : ranges_write(s, set.rule, set.count);
	if (set.count && !*to)
		return -EAGAIN;
	journal_publish(s, p->slot, p->hash, SLOT_NODE | unit, o);
	return 0;
}

int node_change(struct store *s, struct shunt_node *node, struct index_ref *p, __u32 add,
	       __u32 del, const struct journal_entry *o)
{
	const struct shunt_rule *r = rule_in(s, add ? add : del);

	if (!node->port_index_id)
		return change_inline(s, node, p, add, del, o);
	if (has_single_dport(r))
		return change_port_slot(s, node, r->dport_low, add, del, o);
	return change_ranges(s, node, p, has_port_pair(r), add, del, o);
}

/* A rule is named by its interface's name, but found by the index that the
 * interface had when the rule was made. */
struct shunt_rule_iface *rule_iface_at(struct store *s, __u32 i)
{
	struct shunt_rule_iface *two = store_at(s, s->header->ifaces + i / 2, 1);

	return two + i % 2;
}

bool rule_iface_is_registered(struct store *s, const struct shunt_rule *r)
{
	const struct shunt_rule_iface *scope;
	__u32 i;

	for (i = 0; i < s->header->iface_count; i++) {
		scope = rule_iface_at(s, i);
		if (scope->ifindex == r->ifindex && !strcmp(scope->ifname, r->ifname))
			return true;
	}
	return false;
}

/* Goes to new units, as everything does; what it had is garbage. */
int register_rule_iface(struct store *s, const struct shunt_rule *r)
{
	__u32 unit, count = s->header->iface_count;
	struct shunt_rule_iface *to;

	if (!*r->ifname || rule_iface_is_registered(s, r))
		return 0;
	unit = store_alloc(s, units_for(count + 1, 2));
	if (!unit)
		return -EAGAIN;
	to = store_at(s, unit, units_for(count + 1, 2));
	if (count)
		memcpy(to, store_at(s, s->header->ifaces, units_for(count, 2)), count * sizeof(*to));
	to[count].ifindex = r->ifindex;
	strcpy(to[count].ifname, r->ifname);
	/* the longer array first: it begins as the shorter one does */
	__atomic_store_n(&s->header->ifaces, unit, __ATOMIC_RELEASE);
	__atomic_store_n(&s->header->iface_count, count + 1, __ATOMIC_RELEASE);
	return 0;
}

static __u32 find_in(struct store *s, const __u32 *rule, __u32 count,
		     const struct shunt_rule *match)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (!rule_compare(rule_in(s, rule[i]), match))
			return rule[i];
	return 0;
}

static __u32 find_in_ranges(struct store *s, const struct shunt_range *range, __u32 count,
			    const struct shunt_rule *match)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (range[i].low == match->dport_low && range[i].high == match->dport_high &&
		    !rule_compare(rule_in(s, range[i].rule), match))
			return range[i].rule;
	return 0;
}

static __u32 find_in_node(struct store *s, const struct shunt_node *node,
			 const struct shunt_rule *match)
{
	const struct shunt_range *range;
	const __u32 *list;
	struct index_ref p;
	__u32 count;

	if (!node->port_index_id)
		return find_in_ranges(s, node->inline_rules, inline_count(node), match);
	if (has_port_pair(match)) {
		list = list_read(s, node->port_pair_rules, &count);
		return find_in(s, list, count, match);
	}
	if (!has_single_dport(match)) {
		range = ranges_read(s, node->ranges, &count);
		return find_in_ranges(s, range, count, match);
	}
	if (port_slot_find(s, node->port_index_id, node->id, match->dport_low, &p) || !p.value)
		return 0;
	if ((p.value & SLOT_KIND_MASK) == SLOT_LIST) {
		list = list_read(s, p.value & ~SLOT_KIND_MASK, &count);
		return find_in(s, list, count, match);
	}
	p.value &= ~SLOT_KIND_MASK;
	return find_in(s, &p.value, 1, match);
}

static bool find_at(struct store *s, const struct node_key *k, const struct shunt_rule *match,
		    struct rule_ref *ret)
{
	if (node_find(s, k, &ret->ref, &ret->node) || !ret->node)
		return false;
	ret->rule = find_in_node(s, ret->node, match);
	return ret->rule;
}

bool store_find_rule(struct store *s, const struct shunt_rule *match, __u32 ifindex,
		struct rule_ref *ret)
{
	struct node_key k = dst_key(match);
	const struct shunt_rule_iface *scope;
	struct index_ref ref;
	struct shunt_node *dst;
	__u32 i;

	if (!has_src_node(match))
		return find_at(s, &k, match, ret);
	if (node_find(s, &k, &ref, &dst) || !dst)
		return false;
	if (!*match->ifname) {
		k = src_key(match, dst->id, 0);
		return find_at(s, &k, match, ret);
	}
	for (i = 0; i < s->header->iface_count; i++) {
		scope = rule_iface_at(s, i);
		if (strcmp(scope->ifname, match->ifname) ||
		    (ifindex && scope->ifindex != ifindex))
			continue;
		k = src_key(match, dst->id, scope->ifindex);
		if (find_at(s, &k, match, ret))
			return true;
	}
	return false;
}
