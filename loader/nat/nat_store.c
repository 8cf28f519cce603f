// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change writes the new entries of the hash table first, and removes the old ones after
 * that. A shape is in force as long as an entry has it. So a packet finds its rule at any
 * moment of a change.
 */
#include "nat/nat_store.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "nat/nat_compile.h"
#include "nat/nat_rule.h"
#include "nat/nat_shapes.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"

static struct shunt_nat *nat;
static struct shunt_nat_rule *rules;
static struct shunt_nat_shapes *shapes;
static struct shunt_nat_ports *ports;
static int match_fd = -1;

int nat_store_list(const struct shunt_nat_rule ***ret, unsigned int *ret_count)
{
	return nat_rules_sorted(rules, nat->rules, ret, ret_count);
}

/* Makes programs search for packets with the ports of these entries. */
static void mark_ports(const struct nat_entries *e)
{
	unsigned int i, width, count;
	__u64 mask, *word;
	size_t at;

	for (at = 0; at < e->count; at++) {
		const struct shunt_nat_match *key = &e->entry[at].key;

		word = &ports[key->proto == IPPROTO_UDP].bits[key->port / 64];
		width = NAT_PORTS >> key->port_len;
		count = width < 64 ? 1 : width / 64;
		mask = width < 64 ? ((1ULL << width) - 1) << key->port % 64 : ~0ULL;
		for (i = 0; i < count; i++)
			if ((word[i] & mask) != mask)
				__atomic_or_fetch(&word[i], mask, __ATOMIC_SEQ_CST);
	}
}

/* --- changes -------------------------------------------------------------------- */

static int put_entries(const struct nat_entries *e)
{
	size_t i;

	for (i = 0; i < e->count; i++) {
		if (!bpf_map_update_elem(match_fd, &e->entry[i].key, &e->entry[i].target, BPF_ANY))
			continue;
		if (errno == E2BIG)
			return deny(-ENOSPC, "no room for more than %d blocks of ports",
				    SHUNT_NAT_MATCHES);
		return fail(-errno, "can't write a rule");
	}
	return 0;
}

/* Removes the entries of old that are not in kept. */
static int remove_entries(const struct nat_entries *old, const struct nat_entries *kept)
{
	size_t i;

	for (i = 0; i < old->count; i++) {
		if (kept->count && search_array(&old->entry[i], kept->entry, kept->count,
						sizeof(*kept->entry), nat_entries_compare))
			continue;
		if (bpf_map_delete_elem(match_fd, &old->entry[i].key) && errno != ENOENT)
			return fail(-errno, "can't remove a rule");
	}
	return 0;
}

static int all_entries(struct nat_entries *e)
{
	struct shunt_nat_match *last = NULL;
	struct nat_entry entry = {};
	int error;

	while (!bpf_map_get_next_key(match_fd, last, &entry.key)) {
		error = nat_entries_add(e, &entry);
		if (error)
			return fail(error, "can't read the rules");
		last = &entry.key;
	}
	return 0;
}

/* Replaces the entries before[] by those that the rules have now, for the prefixes of r and of
 * old (see nat_compile()). Reports errors and returns -errno. */
static int replace_entries(const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
			   const struct nat_entries *before)
{
	_cleanup_entries_ struct nat_entries new = {};
	int error = nat_compile(rules, nat->rules, r, old, &new);

	if (error)
		return error;
	mark_ports(&new);
	error = nat_shapes_add(nat, shapes, &new);
	if (error)
		return error;
	error = put_entries(&new);
	if (error)
		return error;
	error = remove_entries(before, &new);
	if (error)
		return error;
	return before->count ? nat_shapes_remove_unused(nat, shapes, match_fd) : 0;
}

/* Calls replace_entries(). The rules' generation grows after an error, too, because some entries may
 * have changed. */
static int apply(const struct shunt_nat_rule *r, const struct shunt_nat_rule *old,
		 const struct nat_entries *before)
{
	int error = replace_entries(r, old, before);

	__atomic_add_fetch(&nat->generation, 1, __ATOMIC_SEQ_CST);
	return error;
}

/* Compiles all rules anew. Reports errors and returns -errno. */
static int repair(void)
{
	_cleanup_entries_ struct nat_entries old = {};
	int error = all_entries(&old);

	if (error)
		return error;
	error = apply(NULL, NULL, &old);
	if (error)
		return error;
	nat->changing = 0;
	return 0;
}

int nat_store_open(void)
{
	nat = nat ? nat : pin_mmap(HALF_NAT, "shunt_nat", NULL);
	rules = rules ? rules : pin_mmap(HALF_NAT, "shunt_nat_rules", NULL);
	shapes = shapes ? shapes : pin_mmap(HALF_NAT, "shunt_nat_shapes", NULL);
	ports = ports ? ports : pin_mmap(HALF_NAT, "shunt_nat_ports", NULL);
	match_fd = match_fd >= 0 ? match_fd : pin_open(HALF_NAT, "maps", "shunt_nat_match");
	if (!nat || !rules || !shapes || !ports || match_fd < 0)
		return fail(match_fd < 0 ? match_fd : -errno, "can't open the NAT rules");
	return nat->changing ? repair() : 0;
}

static struct shunt_nat_rule *find_rule(const struct shunt_nat_rule *match)
{
	unsigned int i;

	for (i = 0; i < nat->rules; i++)
		if (rules[i].used && nat_rule_same_match(&rules[i], match))
			return &rules[i];
	return NULL;
}

static int no_room(void)
{
	return deny(-ENOSPC, "no room for more than %d NAT rules", SHUNT_NAT_RULES);
}

static struct shunt_nat_rule *free_slot(void)
{
	unsigned int i;

	for (i = 0; i < nat->rules; i++)
		if (!rules[i].used)
			return &rules[i];
	return i < SHUNT_NAT_RULES ? &rules[nat->rules++] : NULL;
}

/* Replaces the rule *at by value, and its entries with it. A failure undoes both. Reports errors
 * and returns -errno. */
static int change(struct shunt_nat_rule *at, const struct shunt_nat_rule *value)
{
	const struct shunt_nat_rule old = *at, *now = value->used ? value : &old;
	_cleanup_entries_ struct nat_entries before = {};
	int error = nat_compile(rules, nat->rules, now, old.used ? &old : NULL, &before);

	if (error)
		return error;
	nat->changing = 1;
	*at = *value;
	error = apply(now, old.used ? &old : NULL, &before);
	if (error) {
		*at = old;
		repair();
		return error;
	}
	nat->changing = 0;
	return 0;
}

int nat_store_add(const struct shunt_nat_rule *r, struct shunt_nat_rule *ret_old)
{
	struct shunt_nat_rule *at = find_rule(r), new = *r;

	ret_old->used = 0;
	if (at) {
		*ret_old = *at;
		new.flows = at->flows;
		new.refused = at->refused;
	} else {
		at = free_slot();
	}
	if (!at)
		return no_room();
	new.used = 1;
	return change(at, &new);
}

int nat_store_del(const struct shunt_nat_rule *match)
{
	const struct shunt_nat_rule none = {};
	struct shunt_nat_rule *at = find_rule(match);

	return at ? change(at, &none) : -ENOENT;
}

int nat_store_flush(void)
{
	nat->changing = 1;
	memset(rules, 0, nat->rules * sizeof(*rules));
	nat->rules = 0;
	return repair();
}

/* --- replacing all rules --------------------------------------------------------------- */

struct table {
	struct shunt_nat_rule rule[SHUNT_NAT_RULES];
	unsigned int count;
};

static struct table undo; /* the rules before the last nat_store_replace() */

/* used of a rule in wanted[] that has a slot in the table */
#define HAS_SLOT 2

static int compare_rules(const void *a, const void *b)
{
	return nat_rule_compare(a, b);
}

/* Updates the rules of the table that are in wanted[count], which is sorted, and frees the slots
 * of the others. */
static void keep_slots(struct table *t, struct shunt_nat_rule *wanted, unsigned int count,
		       struct rule_changes *d)
{
	struct shunt_nat_rule *r;
	unsigned int i;

	for (i = 0; i < t->count; i++) {
		if (!t->rule[i].used)
			continue;
		r = search_array(&t->rule[i], wanted, count, sizeof(*r), compare_rules);
		if (!r) {
			t->rule[i].used = 0;
			d->deleted++;
			continue;
		}
		d->same += nat_rule_same_effect(&t->rule[i], r);
		d->changed += !nat_rule_same_effect(&t->rule[i], r);
		r->flows = t->rule[i].flows;
		r->refused = t->rule[i].refused;
		r->used = 1;
		t->rule[i] = *r;
		r->used = HAS_SLOT;
	}
}

/* Gives the rules of wanted[count] that have no slot a free one. Reports errors and returns
 * -errno. */
static int fill_slots(struct table *t, const struct shunt_nat_rule *wanted, unsigned int count,
		      struct rule_changes *d)
{
	unsigned int i, at = 0;

	for (i = 0; i < count; i++) {
		if (wanted[i].used == HAS_SLOT)
			continue;
		while (at < t->count && t->rule[at].used)
			at++;
		if (at == SHUNT_NAT_RULES)
			return no_room();
		t->rule[at] = wanted[i];
		t->rule[at].used = 1;
		if (at == t->count)
			t->count++;
		d->added++;
	}
	return 0;
}

static int put_table(const struct table *t)
{
	nat->changing = 1;
	memcpy(rules, t->rule, t->count * sizeof(*rules));
	nat->rules = t->count;
	return repair();
}

/* Makes *t, which has the rules in force, the table that holds all[count] instead. */
static int prepare(struct table *t, const struct shunt_nat_rule *all, unsigned int count,
		   struct rule_changes *d)
{
	_cleanup_free_ struct shunt_nat_rule *wanted = calloc(count + 1, sizeof(*wanted));

	if (!wanted)
		return fail(-ENOMEM, "can't change the NAT rules");
	if (count)
		memcpy(wanted, all, count * sizeof(*wanted));
	sort_array(wanted, count, sizeof(*wanted), compare_rules);
	keep_slots(t, wanted, count, d);
	return fill_slots(t, wanted, count, d);
}

static void read_table(struct table *ret)
{
	ret->count = nat->rules;
	memcpy(ret->rule, rules, ret->count * sizeof(*rules));
}

int nat_store_compare(const struct shunt_nat_rule *all, unsigned int count,
		      struct rule_changes *ret)
{
	_cleanup_free_ struct table *t = malloc(sizeof(*t));

	if (!t)
		return fail(-ENOMEM, "can't look at the NAT rules");
	*ret = (struct rule_changes){};
	read_table(t);
	return prepare(t, all, count, ret);
}

int nat_store_replace(const struct shunt_nat_rule *all, unsigned int count,
		      struct rule_changes *ret)
{
	_cleanup_free_ struct table *t = malloc(sizeof(*t));
	struct rule_changes d = {};
	int error;

	if (!t)
		return fail(-ENOMEM, "can't change the NAT rules");
	read_table(&undo);
	*t = undo;
	error = prepare(t, all, count, &d);
	if (error)
		return error;
	/* Rules that are the same may have other routes now. */
	error = count + d.deleted ? put_table(t) : 0;
	if (error) {
		nat_store_undo();
		return error;
	}
	*ret = d;
	return 0;
}

void nat_store_undo(void)
{
	put_table(&undo);
}

bool nat_store_empty(void)
{
	unsigned int i;

	for (i = 0; i < nat->rules; i++)
		if (rules[i].used)
			return false;
	return true;
}

void nat_store_forget(void)
{
	memset(ports, 0, 2 * sizeof(*ports));
}
