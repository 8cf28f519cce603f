// SPDX-License-Identifier: GPL-2.0-only
#include "nat/nat_compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nat/nat_rule.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"

void nat_entries_free(struct nat_entries *e)
{
	free(e->entry);
}

int nat_entries_add(struct nat_entries *e, const struct nat_entry *entry)
{
	size_t room = e->room ? 2 * e->room : 64;
	struct nat_entry *more;

	if (e->count == e->room) {
		more = realloc(e->entry, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		e->entry = more;
		e->room = room;
	}
	e->entry[e->count++] = *entry;
	return 0;
}

static int compare_at(const void *a, const void *b)
{
	return nat_rule_compare(*(const struct shunt_nat_rule *const *)a,
				*(const struct shunt_nat_rule *const *)b);
}

int nat_rules_sorted(const struct shunt_nat_rule *from, unsigned int count,
		     const struct shunt_nat_rule ***ret, unsigned int *ret_count)
{
	const struct shunt_nat_rule **all = calloc(count + 1, sizeof(*all));
	unsigned int i, n = 0;

	if (!all)
		return fail(-ENOMEM, "can't list the rules");
	for (i = 0; i < count; i++)
		if (from[i].used)
			all[n++] = &from[i];
	sort_array(all, n, sizeof(*all), compare_at);
	*ret = all;
	*ret_count = n;
	return 0;
}

/* A copy of r whose destination is the target of r. */
static struct shunt_nat_rule mirror(const struct shunt_nat_rule *r)
{
	struct shunt_nat_rule m = *r;

	memcpy(m.dst, r->to, sizeof(m.dst));
	m.dst_len = r->to_len;
	if (r->to_low) {
		m.dport_low = r->to_low;
		m.dport_high = r->to_high;
	}
	return m;
}

int nat_entries_compare(const void *a, const void *b)
{
	return memcmp(&((const struct nat_entry *)a)->key, &((const struct nat_entry *)b)->key,
		      sizeof(struct shunt_nat_match));
}

/* Adds one aligned block of ports of a rule. */
static int add_block(struct nat_entries *e, const struct shunt_nat_rule *r, unsigned int port,
		     unsigned int port_len)
{
	struct nat_entry entry = {
		.key = { .port = port,
			 .family = r->family,
			 .proto = r->proto,
			 .dst_len = r->dst_len,
			 .port_len = port_len,
			 .is_target = e->targets },
		.target = { .rule = e->targets ? 0 : r - e->rules,
			    .ifindex = r->ifindex,
			    .dport_low = r->dport_low,
			    .to_low = r->to_low,
			    .to_len = r->to_len,
			    .one_to_one = r->to_low != r->to_high },
	};

	memcpy(entry.key.dst, r->dst, sizeof(r->dst));
	memcpy(entry.target.to, r->to, sizeof(r->to));
	return nat_entries_add(e, &entry);
}

/* Adds the ports from low up to end - 1. */
static int add_run(struct nat_entries *e, const struct shunt_nat_rule *r, unsigned int low,
		   unsigned int end)
{
	unsigned int len, size;
	int error;

	while (low < end) {
		for (len = 0; len < 16; len++) {
			size = NAT_PORTS >> len;
			if (!(low % size) && low + size <= end)
				break;
		}
		error = add_block(e, r, low, len);
		if (error)
			return error;
		low += NAT_PORTS >> len;
	}
	return 0;
}

/* The first port >= port without an owner. next[] is a union-find: next[] of a free port is the
 * port itself, next[] of an owned port is a port behind it. */
static __u32 first_free(__u32 *next, __u32 port)
{
	while (next[port] != port)
		port = next[port] = next[next[port]];
	return port;
}

/* Sets owner[] of each port to the first rule of the group that has the port. */
static int assign_ports(const struct shunt_nat_rule **group, unsigned int count,
			const struct shunt_nat_rule **owner)
{
	_cleanup_free_ __u32 *next = calloc(NAT_PORTS + 1, sizeof(*next));
	unsigned int i;
	__u32 port;

	if (!next)
		return -ENOMEM;
	for (port = 0; port <= NAT_PORTS; port++)
		next[port] = port;
	for (i = 0; i < count; i++) {
		port = first_free(next, group[i]->dport_low);
		for (; port <= group[i]->dport_high; port = first_free(next, port)) {
			owner[port] = group[i];
			next[port] = port + 1;
		}
	}
	return 0;
}

/* Adds the ports that have an owner; adjacent ports of one owner together. */
static int add_owned_ports(const struct shunt_nat_rule *const *owner, struct nat_entries *e)
{
	__u32 port, low = 0;
	int error;

	for (port = 1; port <= NAT_PORTS; port++) {
		if (port < NAT_PORTS && owner[port] == owner[low])
			continue;
		error = owner[low] ? add_run(e, owner[low], low, port) : 0;
		if (error)
			return error;
		low = port;
	}
	return 0;
}

/* Adds the entries of the rules of one prefix. The group is sorted by nat_rule_compare(), so
 * narrow ranges come first and take their ports; wider ones get the ports that are left. */
static int compile(const struct shunt_nat_rule **group, unsigned int count, struct nat_entries *e)
{
	_cleanup_free_ const struct shunt_nat_rule **owner = NULL;
	int error;

	if (count == 1)
		return add_run(e, group[0], group[0]->dport_low, group[0]->dport_high + 1);
	owner = calloc(NAT_PORTS + 1, sizeof(*owner));
	if (!owner)
		return -ENOMEM;
	error = assign_ports(group, count, owner);
	return error ? error : add_owned_ports(owner, e);
}

/* Adds the entries of the rules that have the prefix of r; of all rules if r is NULL. */
static int add_entries(const struct shunt_nat_rule *from, unsigned int count,
		       const struct shunt_nat_rule *r, struct nat_entries *e)
{
	_cleanup_free_ const struct shunt_nat_rule **all = NULL;
	unsigned int i, first, n;
	int error = nat_rules_sorted(from, count, &all, &n);

	if (error || !all)
		return error;
	for (first = 0; first < n; first = i) {
		for (i = first + 1; i < n && nat_rule_same_prefix(all[i], all[first]); i++)
			;
		if (r && !nat_rule_same_prefix(all[first], r))
			continue;
		error = compile(all + first, i - first, e);
		if (error)
			return error;
	}
	return 0;
}

/* Adds the entries of the mirrors that have the prefix of r's mirror or of old's mirror. */
static int add_mirrors(const struct shunt_nat_rule *mirrors, unsigned int count,
		       const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
		       struct nat_entries *e)
{
	struct shunt_nat_rule new_target, old_target;
	int error;

	if (!r)
		return add_entries(mirrors, count, NULL, e);
	new_target = mirror(r);
	error = add_entries(mirrors, count, &new_target, e);
	if (error || !old)
		return error;
	old_target = mirror(old);
	if (nat_rule_same_prefix(&old_target, &new_target))
		return 0;
	return add_entries(mirrors, count, &old_target, e);
}

/* Adds the entries of the targets, by the same parameters as nat_compile(). */
static int add_targets(const struct shunt_nat_rule *rules, unsigned int count,
		       const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
		       struct nat_entries *e)
{
	_cleanup_free_ struct shunt_nat_rule *mirrors = calloc(count + 1, sizeof(*mirrors));
	unsigned int i;
	int error;

	if (!mirrors)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		mirrors[i] = mirror(&rules[i]);
	e->targets = true;
	error = add_mirrors(mirrors, count, r, old, e);
	e->targets = false;
	return error;
}

static int add_rules_and_targets(const struct shunt_nat_rule *rules, unsigned int count,
				 const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
				 struct nat_entries *e)
{
	int error = add_entries(rules, count, r, e);

	return error ? error : add_targets(rules, count, r, old, e);
}

int nat_compile(const struct shunt_nat_rule *rules, unsigned int count,
		const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
		struct nat_entries *ret)
{
	int error;

	ret->rules = rules;
	error = add_rules_and_targets(rules, count, r, old, ret);
	if (error == -ENOMEM)
		return fail(error, "can't compile the rules");
	if (error)
		return error;
	sort_array(ret->entry, ret->count, sizeof(*ret->entry), nat_entries_compare);
	return 0;
}
