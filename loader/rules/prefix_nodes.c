// SPDX-License-Identifier: GPL-2.0-only
/*
 * One store to a slot of the index puts a rule in force or out of it;
 * everything before and after that store changes nothing for any packet,
 * wherever the command is killed:
 *
 * - Units that something leads to never change: a bin, a list, a table of
 *   ranges is written anew, to units that were never used, and then its slot
 *   is made to lead there.
 * - The filter, and the flags of a destination's bin, may name prefixes that
 *   are not there: then a search finds no bin and goes on. They are set before
 *   the bin is entered, and never cleared.
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

static void change_done(struct store *s)
{
	struct shunt_store_journal *b = s->book;

	b->rules = b->change_rules;
	if (b->change_counters)
		counters_free(s, b->change_counters - 1);
	__atomic_store_n(&b->change_slot, 0, __ATOMIC_SEQ_CST);
}

static void publish(struct store *s, __u32 slot, __u64 hash, __u32 value,
		    const struct journal_entry *o)
{
	struct shunt_store_journal *b = s->book;

	b->change_rules = b->rules + o->rules;
	b->change_counters = o->frees ? o->counters + 1 : 0;
	b->change_value = (__u64)tag_of(hash) << 32 | value;
	__atomic_store_n(&b->change_slot, slot + 1, __ATOMIC_SEQ_CST);
	slot_set(s, SLOTS_INDEX, slot, hash, value);
	change_done(s);
}

void change_repair(struct store *s)
{
	struct shunt_store_journal *b = s->book;

	if (!b->change_slot)
		return;
	if (slot_get(s, SLOTS_INDEX, b->change_slot - 1) == b->change_value)
		change_done(s);
	b->change_slot = 0;
}

/* Names a bin. */
struct bin_key {
	__u32 context;
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
static void length_known(struct store *s, __u32 table, __u32 len)
{
	__u64 *hi = &s->lengths->of[table].hi, *lo = &s->lengths->of[table].lo;

	if (len > 64)
		__atomic_store_n(lo, *lo | 1ULL << (len - 65), __ATOMIC_RELEASE);
	else if (len)
		__atomic_store_n(hi, *hi | 1ULL << (len - 1), __ATOMIC_RELEASE);
	else
		s->head->any[table] = 1;
	s->head->try_all_lengths[table] = ones(*hi) + ones(*lo) <= ones(s->head->levels[table]) + 1;
}

static struct bin_key dst_key(const struct shunt_rule *r)
{
	return (struct bin_key){
		.context = table_of(r->family, r->proto),
		.len = r->dst_len,
		.p = aligned_bits(r->dst),
	};
}

static struct bin_key src_key(const struct shunt_rule *r, __u32 id, __u32 ifindex)
{
	return (struct bin_key){
		.context = id,
		.len = r->src_len,
		.ifindex = ifindex,
		.p = aligned_bits(r->src),
	};
}

bool has_src_bin(const struct shunt_rule *r)
{
	return r->src_len || *r->ifname;
}

static __u64 hash_of(struct store *s, const struct bin_key *k)
{
	return node_hash(s->head->seed, k->context, k->len, k->ifindex, k->p);
}

struct index_ref place_of(struct store *s, __u64 hash)
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
static int bin_find(struct store *s, const struct bin_key *k, struct index_ref *ret_place,
		    struct shunt_node **ret)
{
	struct shunt_node *bin = NULL;
	struct index_ref p = place_of(s, hash_of(s, k));

	if (p.value) {
		if ((p.value & SLOT_KIND_MASK) != SLOT_NODE)
			return -EAGAIN;
		bin = store_at(s, p.value & ~SLOT_KIND_MASK, 1);
		if (bin->context != k->context || bin->len != k->len ||
		    bin->ifindex != k->ifindex || bin->hi != k->p.hi || bin->lo != k->p.lo)
			return -EAGAIN;
	} else if (p.room == NO_SLOT) {
		return -EAGAIN;
	}
	*ret_place = p;
	*ret = bin;
	return 0;
}

static int filter_set(struct store *s, __u32 context, __u32 level, struct bits p, __u32 bits)
{
	__u64 hash = filter_hash(s->head->seed, context, level, p);
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

/* Lets searches know the prefix; *levels is the bitmap of the context. */
static int prefix_known(struct store *s, const struct bin_key *k, bool v6, __u32 *levels)
{
	__u32 mark, level;
	int error;

	if (!k->len)
		return 0;
	level = level_of(k->len);
	error = filter_set(s, k->context, level, k->p, filter_bit(k->p, k->len));
	for (mark = 8; !error && v6 && mark <= level; mark += 8)
		error = filter_set(s, k->context, mark, k->p, MARK);
	if (!error)
		__atomic_store_n(levels, *levels | 1U << level, __ATOMIC_RELEASE);
	return error;
}

static struct shunt_node *bin_new(struct store *s, const struct bin_key *k)
{
	__u32 unit = store_take(s, 1);
	struct shunt_node *bin;

	if (!unit)
		return NULL;
	bin = store_at(s, unit, 1);
	*bin = (struct shunt_node){
		.id = unit,
		.context = k->context,
		.hi = k->p.hi,
		.lo = k->p.lo,
		.len = k->len,
		.ifindex = k->ifindex,
	};
	return bin;
}

/* The bin of r's destination, made if need be: a new one is not yet in the
 * index. */
static int dst_bin(struct store *s, const struct shunt_rule *r, struct index_ref *ret_place,
		   struct shunt_node **ret)
{
	struct bin_key k = dst_key(r);
	int error = bin_find(s, &k, ret_place, ret);

	if (error || *ret)
		return error;
	error = prefix_known(s, &k, r->family == AF_INET6, &s->head->levels[k.context]);
	if (error)
		return error;
	length_known(s, k.context, k.len);
	*ret = bin_new(s, &k);
	return *ret ? 0 : -EAGAIN;
}

int rule_bin(struct store *s, const struct shunt_rule *r, struct index_ref *ret_place,
	     struct shunt_node **ret)
{
	static const struct journal_entry nothing;
	struct shunt_node *dst, *bin;
	struct bin_key k;
	int error = dst_bin(s, r, ret_place, &dst);

	if (error)
		return error;
	if (!has_src_bin(r)) {
		*ret = dst;
		return 0;
	}
	if (!ret_place->value)
		publish(s, ret_place->room, ret_place->hash, SLOT_NODE | dst->id, &nothing);
	k = src_key(r, dst->id, r->ifindex);
	error = bin_find(s, &k, ret_place, &bin);
	if (error)
		return error;
	if (!bin) {
		error = prefix_known(s, &k, r->family == AF_INET6, &dst->src_levels);
		bin = error ? NULL : bin_new(s, &k);
	}
	if (k.ifindex)
		__atomic_store_n(&dst->has_iface_nodes, 1, __ATOMIC_RELEASE);
	*ret = bin;
	return bin ? 0 : -EAGAIN;
}

__u32 small_count(const struct shunt_node *bin)
{
	__u32 i = 0;

	while (i < SHUNT_INLINE_RULES && bin->inline_rules[i].rule)
		i++;
	return i;
}

struct shunt_node *bin_copy(struct store *s, struct shunt_node *bin, const struct index_ref *p,
			   __u32 *ret_unit)
{
	struct shunt_node *copy;
	__u32 unit;

	if (!p->value) {
		*ret_unit = bin->id;
		return bin;
	}
	unit = store_take(s, 1);
	if (!unit)
		return NULL;
	copy = store_at(s, unit, 1);
	*copy = *bin;
	memset(copy->inline_rules, 0, sizeof(copy->inline_rules));
	*ret_unit = unit;
	return copy;
}

int cell_find(struct store *s, __u32 cells, __u32 bin_id, __u16 port, struct index_ref *ret)
{
	struct index_ref p = place_of(s, port_hash(s->head->seed, cells, port));
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
		if (r->bin != bin_id || r->dport_low != port)
			return -EAGAIN;
	}
	*ret = p;
	return 0;
}

/* The value for the rules of one port. */
static __u32 cell_value(struct store *s, const struct rule_set *set)
{
	__u32 unit;

	if (set->count == 1)
		return SLOT_RULE | set->rule[0];
	unit = list_write(s, set->rule, set->count);
	return unit ? SLOT_LIST | unit : 0;
}

static int cells_write(struct store *s, const struct shunt_node *bin, const __u32 *rule,
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
		error = cell_find(s, bin->port_index_id, bin->id, port, &p);
		if (error)
			return error;
		value = cell_value(s, &set);
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

int bin_fill(struct store *s, struct shunt_node *copy, __u32 unit, const __u32 *rule,
	     __u32 count)
{
	_cleanup_free_ __u32 *single = NULL, *range = NULL, *loose = NULL;
	__u32 i, singles = 0, ranges = 0, looses = 0;
	const struct shunt_rule *r;

	if (count <= SHUNT_INLINE_RULES) {
		for (i = 0; i < count; i++)
			copy->inline_rules[i] = range_of(s, rule[i]);
		return 0;
	}
	single = malloc(count * sizeof(*single));
	range = malloc(count * sizeof(*range));
	loose = malloc(count * sizeof(*loose));
	if (!single || !range || !loose)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		r = rule_in(s, rule[i]);
		if (is_single(r))
			single[singles++] = rule[i];
		else if (is_loose(r))
			loose[looses++] = rule[i];
		else
			range[ranges++] = rule[i];
	}
	/* never used before, so no cells are there that a killed command left */
	copy->port_index_id = unit;
	sorting = s;
	sort_array(single, singles, sizeof(*single), by_port);
	copy->ranges = ranges_write(s, range, ranges);
	copy->port_pair_rules = list_write(s, loose, looses);
	if ((ranges && !copy->ranges) || (looses && !copy->port_pair_rules))
		return -EAGAIN;
	return cells_write(s, copy, single, singles);
}

static int change_small(struct store *s, struct shunt_node *bin, struct index_ref *p, __u32 add,
			__u32 del, const struct journal_entry *o)
{
	__u32 i, unit, now[SHUNT_INLINE_RULES], rule[SHUNT_INLINE_RULES + 1];
	struct rule_set set = { .rule = rule };
	struct shunt_node *copy = bin_copy(s, bin, p, &unit);
	int error;

	if (!copy)
		return -EAGAIN;
	for (i = 0; i < small_count(bin); i++)
		now[i] = bin->inline_rules[i].rule;
	set_change(s, now, i, add, del, &set);
	error = bin_fill(s, copy, unit, set.rule, set.count);
	if (!error)
		publish(s, p->value ? p->slot : p->room, p->hash, SLOT_NODE | unit, o);
	return error;
}

static int change_cell(struct store *s, const struct shunt_node *bin, __u16 port, __u32 add,
		       __u32 del, const struct journal_entry *o)
{
	_cleanup_free_ __u32 *rule = NULL;
	__u32 one, value = 0, count = 0;
	const __u32 *now = &one;
	struct rule_set set;
	struct index_ref p;
	int error = cell_find(s, bin->port_index_id, bin->id, port, &p);

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
	set_change(s, now, count, add, del, &set);
	if (set.count) {
		value = cell_value(s, &set);
		if (!value)
			return -EAGAIN;
	}
	publish(s, p.value ? p.slot : p.room, p.hash, value, o);
	return 0;
}

static int change_ranges(struct store *s, struct shunt_node *bin, struct index_ref *p, bool loose,
			 __u32 add, __u32 del, const struct journal_entry *o)
{
	_cleanup_free_ __u32 *now = NULL, *rule = NULL;
	const struct shunt_range *range;
	struct shunt_node *copy;
	struct rule_set set;
	const __u32 *list;
	__u32 i, unit, count, *to;

	list = list_read(s, bin->port_pair_rules, &count);
	range = loose ? NULL : ranges_read(s, bin->ranges, &count);
	now = malloc((count + 1) * sizeof(*now));
	set.rule = rule = malloc((count + 1) * sizeof(*rule));
	if (!now || !rule)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		now[i] = loose ? list[i] : range[i].rule;
	set_change(s, now, count, add, del, &set);
	copy = bin_copy(s, bin, p, &unit);
	if (!copy)
		return -EAGAIN;
	copy->ranges = bin->ranges;
	copy->port_pair_rules = bin->port_pair_rules;
	to = loose ? &copy->port_pair_rules : &copy->ranges;
	*to = loose ? list_write(s, set.rule, set.count) : ranges_write(s, set.rule, set.count);
	if (set.count && !*to)
		return -EAGAIN;
	publish(s, p->slot, p->hash, SLOT_NODE | unit, o);
	return 0;
}

int bin_change(struct store *s, struct shunt_node *bin, struct index_ref *p, __u32 add,
	       __u32 del, const struct journal_entry *o)
{
	const struct shunt_rule *r = rule_in(s, add ? add : del);

	if (!bin->port_index_id)
		return change_small(s, bin, p, add, del, o);
	if (is_single(r))
		return change_cell(s, bin, r->dport_low, add, del, o);
	return change_ranges(s, bin, p, is_loose(r), add, del, o);
}

/* A rule is named by its interface's name, but found by the index that the
 * interface had when the rule was made. */
struct shunt_rule_iface *rule_iface_at(struct store *s, __u32 i)
{
	struct shunt_rule_iface *two = store_at(s, s->head->ifaces + i / 2, 1);

	return two + i % 2;
}

bool rule_iface_is_registered(struct store *s, const struct shunt_rule *r)
{
	const struct shunt_rule_iface *scope;
	__u32 i;

	for (i = 0; i < s->head->iface_count; i++) {
		scope = rule_iface_at(s, i);
		if (scope->ifindex == r->ifindex && !strcmp(scope->ifname, r->ifname))
			return true;
	}
	return false;
}

/* Goes to new units, as everything does; what it had is garbage. */
int register_rule_iface(struct store *s, const struct shunt_rule *r)
{
	__u32 unit, count = s->head->iface_count;
	struct shunt_rule_iface *to;

	if (!*r->ifname || rule_iface_is_registered(s, r))
		return 0;
	unit = store_take(s, units_for(count + 1, 2));
	if (!unit)
		return -EAGAIN;
	to = store_at(s, unit, units_for(count + 1, 2));
	if (count)
		memcpy(to, store_at(s, s->head->ifaces, units_for(count, 2)), count * sizeof(*to));
	to[count].ifindex = r->ifindex;
	strcpy(to[count].ifname, r->ifname);
	/* the longer array first: it begins as the shorter one does */
	__atomic_store_n(&s->head->ifaces, unit, __ATOMIC_RELEASE);
	__atomic_store_n(&s->head->iface_count, count + 1, __ATOMIC_RELEASE);
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

static __u32 find_in_bin(struct store *s, const struct shunt_node *bin,
			 const struct shunt_rule *match)
{
	const struct shunt_range *range;
	const __u32 *list;
	struct index_ref p;
	__u32 count;

	if (!bin->port_index_id)
		return find_in_ranges(s, bin->inline_rules, small_count(bin), match);
	if (is_loose(match)) {
		list = list_read(s, bin->port_pair_rules, &count);
		return find_in(s, list, count, match);
	}
	if (!is_single(match)) {
		range = ranges_read(s, bin->ranges, &count);
		return find_in_ranges(s, range, count, match);
	}
	if (cell_find(s, bin->port_index_id, bin->id, match->dport_low, &p) || !p.value)
		return 0;
	if ((p.value & SLOT_KIND_MASK) == SLOT_LIST) {
		list = list_read(s, p.value & ~SLOT_KIND_MASK, &count);
		return find_in(s, list, count, match);
	}
	p.value &= ~SLOT_KIND_MASK;
	return find_in(s, &p.value, 1, match);
}

static bool find_at(struct store *s, const struct bin_key *k, const struct shunt_rule *match,
		    struct rule_ref *ret)
{
	if (bin_find(s, k, &ret->place, &ret->bin) || !ret->bin)
		return false;
	ret->rule = find_in_bin(s, ret->bin, match);
	return ret->rule;
}

bool find_bound(struct store *s, const struct shunt_rule *match, __u32 ifindex,
		struct rule_ref *ret)
{
	struct bin_key k = dst_key(match);
	const struct shunt_rule_iface *scope;
	struct index_ref place;
	struct shunt_node *dst;
	__u32 i;

	if (!has_src_bin(match))
		return find_at(s, &k, match, ret);
	if (bin_find(s, &k, &place, &dst) || !dst)
		return false;
	if (!*match->ifname) {
		k = src_key(match, dst->id, 0);
		return find_at(s, &k, match, ret);
	}
	for (i = 0; i < s->head->iface_count; i++) {
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
