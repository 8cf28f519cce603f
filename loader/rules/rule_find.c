// SPDX-License-Identifier: GPL-2.0-only
#include "rules/rule_find.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "rules/node_rules.h"

struct shunt_rule_iface *rule_iface_at(struct store *s, __u32 i)
{
	struct shunt_rule_iface *two = store_at(s, s->header->ifaces + i / 2, 1);

	return two + i % 2;
}

bool rule_iface_is_registered(struct store *s, const struct shunt_rule *r)
{
	const struct shunt_rule_iface *iface;
	__u32 i;

	for (i = 0; i < s->header->iface_count; i++) {
		iface = rule_iface_at(s, i);
		if (iface->ifindex == r->ifindex && !strcmp(iface->ifname, r->ifname))
			return true;
	}
	return false;
}

/* Copies the array to new units. The old array becomes garbage, which the next rebuild drops. */
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
		memcpy(to, store_at(s, s->header->ifaces, units_for(count, 2)),
		       count * sizeof(*to));
	to[count].ifindex = r->ifindex;
	strcpy(to[count].ifname, r->ifname);
	/* First the longer array, which begins like the shorter one; then its length. */
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
	struct index_ref ref;
	__u32 count;

	if (!node->port_index_id)
		return find_in_ranges(s, node->inline_rules, inline_count(node), match);
	if (has_port_pair(match)) {
		list = list_read(s, node->port_pair_rules, &count);
		return find_in(s, list, count, match);
	}
	if (!has_single_dport(match)) {
		range = port_table_ranges(s, node->port_table, &count);
		return find_in_ranges(s, range, count, match);
	}
	if (port_slot_find(s, node->port_index_id, node->id, match->dport_low, &ref) || !ref.value)
		return 0;
	if ((ref.value & SLOT_KIND_MASK) == SLOT_LIST) {
		list = list_read(s, ref.value & ~SLOT_KIND_MASK, &count);
		return find_in(s, list, count, match);
	}
	ref.value &= ~SLOT_KIND_MASK;
	return find_in(s, &ref.value, 1, match);
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
	const struct shunt_rule_iface *iface;
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
		iface = rule_iface_at(s, i);
		if (strcmp(iface->ifname, match->ifname) || (ifindex && iface->ifindex != ifindex))
			continue;
		k = src_key(match, dst->id, iface->ifindex);
		if (find_at(s, &k, match, ret))
			return true;
	}
	return false;
}
