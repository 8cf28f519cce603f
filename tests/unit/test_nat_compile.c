// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random sets of NAT rules, and random packets. The entries of nat_compile() have to lead a
 * packet to the same rule as a plain search through all rules. After a change of one rule, the
 * exchanged entries have to turn the old set of entries into the new one. A failure is shrunk
 * to the rules that it needs, and printed.
 */
#include "unit.h"

#include <netinet/in.h>

#include "nat/nat_compile.h"
#include "nat/nat_rule.h"
#include "random_set.h"
#include "util/address.h"
#include "util/array.h"

#define RULES 20
#define PACKETS 60

struct packet {
	__u8 dst[16];
	__u16 dport;
	__u8 family;
	__u8 proto;
};

static struct shunt_nat_rule rules[RULES];
static struct shunt_nat_rule other_target; /* what the changed rule becomes */
static unsigned int changed;               /* its number */
static unsigned int packets_seed;          /* the same packets for each part of a set */

/* --- random rules ---------------------------------------------------------------------- */

static void random_address(__u8 a[16], bool v6)
{
	static const __u8 bytes[] = { 0, 1, 128, 255 };
	int i;

	memset(a, 0, 16);
	a[0] = v6 ? 0x20 : 10;
	for (i = 1; i < (v6 ? 16 : 4); i++)
		a[i] = i == 3 ? bytes[random_below(4)] : random_below(2);
}

static __u8 random_prefix(__u8 a[16], bool v6)
{
	static const __u8 lengths[] = { 0, 8, 17, 24, 31, 32 };
	__u8 len = lengths[random_below(6)];

	if (v6 && len == 32)
		len = 128;
	random_address(a, v6);
	mask_address(a, len);
	return len;
}

static void random_range(__u16 *low, __u16 *high)
{
	static const __u16 ports[] = { 1, 2, 79, 80, 81, 443, 1023, 1024, 8080, 65534, 65535 };
	unsigned int a = ports[random_below(11)], b = ports[random_below(11)];

	*low = a < b ? a : b;
	*high = random_below(2) ? *low : a < b ? b : a;
}

static void random_target(struct shunt_nat_rule *r)
{
	unsigned int wide = r->dport_high - r->dport_low;

	random_address(r->to, r->family == AF_INET6);
	r->to_len = random_below(2) ? r->dst_len : r->family == AF_INET ? 32 : 128;
	mask_address(r->to, r->to_len);
	r->to_low = r->to_high = 0;
	if (!random_below(3))
		return;
	r->to_low = 1 + random_below(65535 - wide % 65535);
	r->to_high = r->to_low + (random_below(2) ? wide % 65535 : 0);
}

static struct shunt_nat_rule random_rule(void)
{
	struct shunt_nat_rule r = { .used = 1, .dport_high = 65535 };
	bool v6 = !random_below(3);

	r.family = v6 ? AF_INET6 : AF_INET;
	r.proto = random_below(3) ? IPPROTO_TCP : IPPROTO_UDP;
	r.dst_len = random_prefix(r.dst, v6);
	if (random_below(5))
		random_range(&r.dport_low, &r.dport_high);
	random_target(&r);
	return r;
}

static void random_rules(void)
{
	unsigned int i, j;

	for (i = 0; i < RULES; i++) {
		do {
			rules[i] = random_rule();
			for (j = 0; j < i && !nat_rule_same_match(&rules[i], &rules[j]); j++)
				;
		} while (j < i);
	}
	changed = random_below(RULES);
	other_target = rules[changed];
	random_target(&other_target);
}

/* --- the reference ------------------------------------------------------------------------ */

static bool matches(const struct shunt_nat_rule *r, const struct packet *p)
{
	return r->used && r->family == p->family && r->proto == p->proto &&
	       in_prefix(p->dst, r->dst, r->dst_len) && p->dport >= r->dport_low &&
	       p->dport <= r->dport_high;
}

/* Whether the packet's own destination is the rule's target. */
static bool is_target(const struct shunt_nat_rule *r, const struct packet *p)
{
	__u16 low = r->to_low ? r->to_low : r->dport_low;
	__u16 high = r->to_low ? r->to_high : r->dport_high;

	return r->used && r->family == p->family && r->proto == p->proto &&
	       in_prefix(p->dst, r->to, r->to_len) && p->dport >= low && p->dport <= high;
}

/* Whether a takes precedence over b. Both match the same packet. */
static bool before(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b)
{
	const int wide_a = a->dport_high - a->dport_low, wide_b = b->dport_high - b->dport_low;

	if (a->dst_len != b->dst_len)
		return a->dst_len > b->dst_len;
	return wide_a != wide_b ? wide_a < wide_b : a->dport_low < b->dport_low;
}

static const struct shunt_nat_rule *expected(const struct shunt_nat_rule table[RULES],
					     const struct packet *p)
{
	const struct shunt_nat_rule *r, *best = NULL;

	for (r = table; r < table + RULES; r++)
		if (matches(r, p) && (!best || before(r, best)))
			best = r;
	return best;
}

static bool expected_target(const struct shunt_nat_rule table[RULES], const struct packet *p)
{
	const struct shunt_nat_rule *r;

	for (r = table; r < table + RULES; r++)
		if (is_target(r, p))
			return true;
	return false;
}

/* Most packets are aimed at a rule or at its target. */
static struct packet random_packet(void)
{
	const struct shunt_nat_rule *r = &rules[random_below(RULES)];
	struct packet p = { .family = r->family, .proto = r->proto };
	bool target = !random_below(3);
	unsigned int i, len = target ? r->to_len : r->dst_len;
	const __u8 *prefix = target ? r->to : r->dst;
	unsigned int low = target && r->to_low ? r->to_low : r->dport_low;
	unsigned int high = target && r->to_low ? r->to_high : r->dport_high;

	random_address(p.dst, r->family == AF_INET6);
	for (i = 0; i < len; i++)
		p.dst[i / 8] = (p.dst[i / 8] & ~(0x80 >> i % 8)) | (prefix[i / 8] & 0x80 >> i % 8);
	switch (random_below(4)) {
	case 0:
		p.dport = low;
		break;
	case 1:
		p.dport = high + random_below(2);
		break;
	case 2:
		p.dport = low + random_below(high - low + 1);
		break;
	default:
		p.dport = random_below(65536);
	}
	return p;
}

/* --- the entries ---------------------------------------------------------------------------- */

/* Returns the entry that a packet finds: the one with the longest prefix. Returns NULL if there
 * is none, or if two entries of one prefix have the port. */
static const struct nat_entry *find(const struct nat_entries *e, const struct packet *p,
				    bool target)
{
	const struct nat_entry *at, *best = NULL;
	unsigned int len = 0;

	for (at = e->entry; at < e->entry + e->count; at++) {
		if (at->key.is_target != target || at->key.family != p->family ||
		    at->key.proto != p->proto || !in_prefix(p->dst, at->key.dst, at->key.dst_len) ||
		    p->dport - at->key.port < 0 ||
		    p->dport - at->key.port >= NAT_PORTS >> at->key.port_len)
			continue;
		if (best && at->key.dst_len == len)
			return NULL;
		if (best && at->key.dst_len < len)
			continue;
		best = at;
		len = at->key.dst_len;
	}
	return best;
}

static bool leads_to(const struct nat_entry *e, const struct shunt_nat_rule *r, unsigned int number)
{
	const struct shunt_nat_target *t = &e->target;

	return t->rule == number && !memcmp(t->to, r->to, sizeof(t->to)) &&
	       t->to_len == r->to_len && t->to_low == r->to_low && t->dport_low == r->dport_low &&
	       t->one_to_one == (r->to_low != r->to_high);
}

static const char *check_packet(const struct shunt_nat_rule table[RULES],
				const struct nat_entries *e)
{
	const struct packet p = random_packet();
	const struct shunt_nat_rule *r = expected(table, &p);
	const struct nat_entry *found = find(e, &p, false);

	if (!r != !found)
		return found ? "a packet finds a rule" : "a packet finds no rule";
	if (r && !leads_to(found, r, r - table))
		return "a packet finds another rule";
	return !expected_target(table, &p) == !find(e, &p, true) ? NULL : "targets are not known";
}

/* Blocks are aligned, and no key is there twice. */
static const char *check_keys(const struct nat_entries *e)
{
	size_t i;

	for (i = 0; i < e->count; i++) {
		if (e->entry[i].key.port % (NAT_PORTS >> e->entry[i].key.port_len))
			return "a block of ports is not aligned";
		if (i && nat_entries_compare(&e->entry[i - 1], &e->entry[i]) >= 0)
			return "the entries are not sorted, or one is there twice";
	}
	return NULL;
}

static const char *check_set(const struct shunt_nat_rule table[RULES])
{
	_cleanup_entries_ struct nat_entries e = {};
	const char *fault;
	unsigned int i;

	if (nat_compile(table, RULES, NULL, NULL, &e))
		return "nat_compile() fails";
	fault = check_keys(&e);
	for (i = 0; i < PACKETS && !fault; i++)
		fault = check_packet(table, &e);
	return fault;
}

static bool has(const struct nat_entries *e, const struct nat_entry *entry)
{
	const struct nat_entry *at = search_array(entry, e->entry, e->count, sizeof(*entry),
						  nat_entries_compare);

	return at &&
	       (entry->key.is_target || !memcmp(&at->target, &entry->target, sizeof(at->target)));
}

static bool has_key(const struct nat_entries *e, const struct nat_entry *entry)
{
	return search_array(entry, e->entry, e->count, sizeof(*entry), nat_entries_compare);
}

/* Checks that the old set, with its old part replaced by the new part, is the new set. */
static const char *compare_sets(const struct nat_entries *old_set, const struct nat_entries *old,
				const struct nat_entries *new_set, const struct nat_entries *new)
{
	size_t i;

	for (i = 0; i < new->count; i++)
		if (!has(new_set, &new->entry[i]))
			return "a change adds an entry that the new rules do not have";
	for (i = 0; i < old->count; i++)
		if (!has(old_set, &old->entry[i]))
			return "a change removes an entry that the old rules do not have";
	for (i = 0; i < new_set->count; i++)
		if (!has(new, &new_set->entry[i]) &&
		    (!has(old_set, &new_set->entry[i]) || has_key(old, &new_set->entry[i])))
			return "a change leaves out an entry";
	for (i = 0; i < old_set->count; i++)
		if (!has_key(new_set, &old_set->entry[i]) && !has_key(old, &old_set->entry[i]))
			return "a change leaves an entry behind";
	return NULL;
}

/* One rule becomes another value: used 0 deletes the rule. */
static const char *check_change(const struct shunt_nat_rule table[RULES], unsigned int number,
				const struct shunt_nat_rule *value)
{
	_cleanup_entries_ struct nat_entries old_set = {}, new_set = {}, old = {}, new = {};
	struct shunt_nat_rule after[RULES];
	const struct shunt_nat_rule *was = table[number].used ? &table[number] : NULL;
	const struct shunt_nat_rule *now = value->used ? value : was;

	if (!now)
		return NULL;
	memcpy(after, table, sizeof(after));
	after[number] = *value;
	if (nat_compile(table, RULES, NULL, NULL, &old_set) ||
	    nat_compile(after, RULES, NULL, NULL, &new_set) ||
	    nat_compile(table, RULES, now, was, &old) || nat_compile(after, RULES, now, was, &new))
		return "nat_compile() fails";
	return compare_sets(&old_set, &old, &new_set, &new);
}

/* --- running -------------------------------------------------------------------------------- */

/* Checks the rules with these numbers, and changes to that set. */
static const char *check_rules(const unsigned int *number, unsigned int count)
{
	struct shunt_nat_rule table[RULES], gone = rules[changed];
	const char *fault;
	unsigned int i;

	memcpy(table, rules, sizeof(table));
	for (i = 0; i < RULES; i++)
		table[i].used = 0;
	for (i = 0; i < count; i++)
		table[number[i]].used = 1;
	random_seed(packets_seed);
	fault = check_set(table);
	if (fault)
		return fault;
	fault = check_change(table, changed, &other_target);
	if (fault)
		return fault;
	gone.used = 0;
	return check_change(table, changed, &gone);
}

/* Checks the set. After the set of all rules it also checks the first half of them. */
static const char *check_rules_and_half(const unsigned int *number, unsigned int count,
					unsigned int *ret_used)
{
	const char *fault = check_rules(number, count);

	*ret_used = count;
	if (fault || count < RULES)
		return fault;
	*ret_used = RULES / 2;
	return check_rules(number, RULES / 2);
}

static void print_rule(unsigned int number)
{
	char text[NAT_TEXT];

	nat_rule_format(&rules[number], text);
	print_error("  %s\n", text);
}

static void print_change(void)
{
	char text[NAT_TEXT];

	nat_rule_format(&other_target, text);
	print_error("  rule %u: changed to %s\n", changed, text);
}

static void draw(unsigned int seed)
{
	packets_seed = seed;
	random_seed(seed);
	random_rules();
}

static void packets_find_their_nat_rule(void **unused)
{
	static const struct random_set set = {
		.size = RULES,
		.draw = draw,
		.check = check_rules_and_half,
		.print_member = print_rule,
		.print_fault = print_change,
	};

	(void)unused;
	check_random_sets(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_find_their_nat_rule),
	};

	return cmocka_run_group_tests_name("nat_compile", tests, NULL, NULL);
}
