// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random changes of the rule store, and random packets. The programs' search in the store has
 * to find the same rule as a plain search through all rules. A failure is shrunk to the
 * changes that it needs, and printed.
 */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "fake_maps.h"
#include "fake_store.h"
#include "random_set.h"
#include "rules/rule_store.h"
#include "search.h"
#include "util/address.h"

#define RULES 64
#define CHANGES 160
#define PACKETS 12 /* after each change */

/* Which prefixes and ports the rules have. */
enum shape { MIXED, NESTED, FEW, CROWD, SHAPES };

/* ADD adds a rule or changes its target. REPLACE puts a whole set in force: the rules whose
 * number has a bit in common with change.rule. */
enum kind { ADD, DEL, REPLACE, FLUSH, REBIND };

struct change {
	enum kind kind;
	unsigned int rule;
	__u16 to_port;
};

static const char *const ifnames[] = { "", "fake0", "fake1", SHUNT_LOCAL_IFNAME };

static enum shape shape;
static struct shunt_rule rules[RULES];
static struct change changes[CHANGES];
static __u16 in_force[RULES]; /* the port that the reference knows, 0: not in force */

/* --- random rules ---------------------------------------------------------------------- */

static void random_address(__u8 a[16], bool v6)
{
	static const __u8 bytes[] = { 0, 1, 127, 128, 255 };
	int i;

	memset(a, 0, 16);
	a[0] = v6 ? 0x20 : 10;
	for (i = 1; i < (v6 ? 16 : 4); i++)
		a[i] = shape >= FEW      ? (i == 1 ? random_below(2) : 0)
		       : random_below(8) ? bytes[random_below(shape == MIXED ? 5 : 2)]
					 : random_below(256);
}

static __u8 random_prefix(__u8 a[16], bool v6)
{
	unsigned int bits = v6 ? 128 : 32,
		     len = shape >= FEW ? 8 * random_below(3) : random_below(bits + 1);

	random_address(a, v6);
	mask_address(a, len);
	return len;
}

static void random_range(__u16 *low, __u16 *high, __u16 floor)
{
	static const __u16 ports[] = { 1, 79, 80, 81, 90, 443, 1000, 8080, 65535 };
	unsigned int a = shape == FEW ? 1 + random_below(300) : ports[random_below(9)];
	unsigned int b = shape == FEW ? a + random_below(random_below(4) ? 20 : 2000)
				      : ports[random_below(9)];

	*low = floor;
	*high = 65535;
	if (shape == CROWD) { /* many rules for each of few ports */
		*low = 1 + random_below(floor ? 3 : 30);
		*high = *low + (random_below(4) ? 0 : random_below(30));
		return;
	}
	if (!random_below(4))
		return;
	*low = a < b ? a : b;
	*high = random_below(2) ? *low : a < b ? b : a;
}

static __u32 ifindex_of(const char *name)
{
	if (!*name)
		return 0;
	return !strcmp(name, SHUNT_LOCAL_IFNAME) ? SHUNT_LOCAL_IFINDEX : fake_ifindex(name, 0);
}

static struct shunt_rule random_rule(void)
{
	struct shunt_rule r = { .action = SHUNT_STEER,
				.to = { 127, [3] = 1 },
				.sport_high = 65535 };
	const char *ifname = ifnames[random_below(8) < 3 ? 1 + random_below(3) : 0];
	bool v6 = shape == NESTED || random_below(2);

	r.family = v6 ? AF_INET6 : AF_INET;
	r.proto = random_below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	r.dst_len = random_prefix(r.dst, v6);
	if (!random_below(3))
		r.src_len = random_prefix(r.src, v6);
	random_range(&r.dport_low, &r.dport_high, 1);
	if (!random_below(shape == CROWD ? 2 : 4))
		random_range(&r.sport_low, &r.sport_high, 0);
	strcpy(r.ifname, ifname);
	r.ifindex = ifindex_of(ifname);
	return r;
}

static void random_rules(void)
{
	unsigned int i, j;

	for (i = 0; i < RULES; i++) {
		do {
			rules[i] = random_rule();
			for (j = 0; j < i && !rule_same_match(&rules[i], &rules[j]); j++)
				;
		} while (j < i);
	}
}

static void random_changes(void)
{
	unsigned int i, kind;

	for (i = 0; i < CHANGES; i++) {
		kind = random_below(100);
		changes[i] = (struct change){
			.kind = kind < 60   ? ADD
				: kind < 94 ? DEL
				: kind < 97 ? REPLACE
				: kind < 98 ? FLUSH
					    : REBIND,
			.rule = random_below(RULES),
			.to_port = 1 + random_below(3),
		};
	}
}

/* --- the reference ------------------------------------------------------------------------ */

static bool matches(const struct shunt_rule *r, const struct question *q)
{
	__u32 ifindex = ifindex_of(r->ifname);

	return r->family == q->family && r->proto == q->proto &&
	       (ifindex ? ifindex == q->ifindex : q->ifindex != SHUNT_LOCAL_IFINDEX) &&
	       q->dport >= r->dport_low && q->dport <= r->dport_high && q->sport >= r->sport_low &&
	       q->sport <= r->sport_high && in_prefix(q->dst, r->dst, r->dst_len) &&
	       in_prefix(q->src, r->src, r->src_len);
}

/* Whether a is tried before b. Both match the same packet. */
static bool before(const struct shunt_rule *a, const struct shunt_rule *b)
{
	const int wide_a = a->dport_high - a->dport_low, wide_b = b->dport_high - b->dport_low;
	const int swide_a = a->sport_high - a->sport_low, swide_b = b->sport_high - b->sport_low;

	if (a->dst_len != b->dst_len)
		return a->dst_len > b->dst_len;
	if (a->src_len != b->src_len)
		return a->src_len > b->src_len;
	if (wide_a != wide_b)
		return wide_a < wide_b;
	if (swide_a != swide_b)
		return swide_a < swide_b;
	if (!*a->ifname != !*b->ifname)
		return *a->ifname;
	return a->dport_low != b->dport_low ? a->dport_low < b->dport_low
					    : a->sport_low < b->sport_low;
}

/* Returns the number of the rule for a packet, -1 if there is none. */
static int expected(const struct question *q)
{
	int i, best = -1;

	for (i = 0; i < RULES; i++)
		if (in_force[i] && matches(&rules[i], q) &&
		    (best < 0 || before(&rules[i], &rules[best])))
			best = i;
	return best;
}

/* Most packets are aimed at a rule. */
static struct question random_packet(void)
{
	const struct shunt_rule *r = &rules[random_below(RULES)];
	struct question q = { .family = r->family, .proto = r->proto };
	unsigned int i;

	random_address(q.dst, r->family == AF_INET6);
	random_address(q.src, r->family == AF_INET6);
	for (i = 0; i < r->dst_len && random_below(16); i++)
		q.dst[i / 8] = (q.dst[i / 8] & ~(0x80 >> i % 8)) | (r->dst[i / 8] & 0x80 >> i % 8);
	for (i = 0; i < r->src_len && random_below(16); i++)
		q.src[i / 8] = (q.src[i / 8] & ~(0x80 >> i % 8)) | (r->src[i / 8] & 0x80 >> i % 8);
	/* 224.0.0.0 and above mean multicast, which few rules match */
	q.dst[0] = r->family == AF_INET ? q.dst[0] & 0x7f : 0x20;
	q.dport = random_below(4) ? r->dport_low + random_below(r->dport_high - r->dport_low + 1)
				  : 1 + random_below(65535);
	q.sport = random_below(4) ? r->sport_low + random_below(r->sport_high - r->sport_low + 1)
				  : 1 + random_below(65535);
	q.ifindex = ifindex_of(ifnames[random_below(4)]);
	if (!q.ifindex)
		q.ifindex = 99;
	return q;
}

/* --- the store ------------------------------------------------------------------------------ */

static struct shunt_rule with_target(unsigned int i, __u16 to_port)
{
	struct shunt_rule r = rules[i];

	r.to_port = to_port;
	r.ifindex = ifindex_of(r.ifname);
	return r;
}

static const char *replace(unsigned int bits, __u16 to_port)
{
	struct shunt_rule copy[RULES];
	const struct shunt_rule *all[RULES];
	unsigned int i, count = 0;

	for (i = 0; i < RULES; i++) {
		in_force[i] = i & bits ? to_port : 0;
		copy[i] = with_target(i, to_port);
		if (in_force[i])
			all[count++] = &copy[i];
	}
	return rules_replace(all, count) ? "rules_replace() fails" : NULL;
}

/* Makes a change. Returns NULL, or what went wrong. */
static const char *make(const struct change *c)
{
	const struct shunt_rule r = with_target(c->rule, c->to_port);
	int error;
	bool new;

	switch (c->kind) {
	case ADD:
		error = rules_add(&r, &new);
		if (error || new != !in_force[c->rule])
			return "rules_add() fails, or finds another rule";
		in_force[c->rule] = c->to_port;
		return NULL;
	case DEL:
		error = rules_del(&r);
		if (error != (in_force[c->rule] ? 0 : -ENOENT))
			return "rules_del() fails, or finds another rule";
		in_force[c->rule] = 0;
		return NULL;
	case REPLACE:
		return replace(c->rule, c->to_port);
	case FLUSH:
		memset(in_force, 0, sizeof(in_force));
		return rules_flush() ? "rules_flush() fails" : NULL;
	default: /* an interface is made again */
		fake_ifindex(ifnames[1 + c->rule % 2], 20 + c->rule);
		return rules_rebind() ? "rules_rebind() fails" : NULL;
	}
}

static char packet_text[128], fault_text[STORE_FAULT];

static const char *check_packet(void)
{
	const struct question q = random_packet();
	const struct shunt_rule *r;
	__u32 unit;
	size_t size;
	void *store = fake_store(&size);
	int i = expected(&q);

	unit = search_rule(store, size, &q);
	snprintf(packet_text, sizeof(packet_text),
		 "%s packet: dst %02x%02x%02x%02x%02x... dport %u "
		 "src %02x%02x%02x%02x%02x... sport %u ifindex %u",
		 q.proto == IPPROTO_TCP ? "tcp" : "udp", q.dst[0], q.dst[1], q.dst[2], q.dst[3],
		 q.dst[4], q.dport, q.src[0], q.src[1], q.src[2], q.src[3], q.src[4], q.sport,
		 q.ifindex);
	if (!unit)
		return i < 0 ? NULL : "a packet finds no rule";
	r = rules_at(unit);
	if (i < 0)
		return "a packet finds a rule";
	if (!rule_same_match(r, &rules[i]))
		return "a packet finds another rule";
	return r->to_port == in_force[i] ? NULL : "a packet finds a rule with its old target";
}

static const char *check(void)
{
	const char *fault = NULL;
	const struct shunt_rule *r;
	unsigned int i, count = 0;

	*packet_text = '\0';
	if (rules_validate(fault_text))
		return fault_text;
	for (i = 0; i < RULES; i++) {
		count += !!in_force[i];
		r = rules_find(&rules[i]);
		if (!r != !in_force[i] || (r && r->to_port != in_force[i]))
			return "rules_find() does not find what is there";
	}
	if (count != rules_count())
		return "the rules are not counted";
	for (i = 0; i < PACKETS && !fault; i++)
		fault = check_packet();
	return fault;
}

/* Makes the changes with these numbers, and checks the store after each. */
static const char *check_changes(const unsigned int *number, unsigned int count,
				 unsigned int *ret_used)
{
	const char *fault = NULL;
	unsigned int i;

	fake_store_open(RULES);
	memset(in_force, 0, sizeof(in_force));
	for (i = 0; i < count && !fault; i++) {
		fault = make(&changes[number[i]]);
		random_seed(number[i] + 1000);
		if (!fault)
			fault = check();
	}
	*ret_used = i;
	fake_store_close();
	return fault;
}

static void print_change(unsigned int number)
{
	static const char *const names[] = { "add", "del", "replace", "flush", "rebind" };
	const struct change *c = &changes[number];
	const struct shunt_rule r = with_target(c->rule, c->to_port);
	char text[RULE_TEXT] = "";

	if (c->kind == ADD || c->kind == DEL)
		rule_format(&r, text, sizeof(text));
	print_error("  %s %s%.0u\n", names[c->kind], text, *text ? 0 : c->rule);
}

static void print_packet(void)
{
	print_error("  %s\n", packet_text);
}

static void draw(unsigned int seed)
{
	shape = seed % SHAPES;
	random_seed(seed);
	fake_ifindex("fake0", 11);
	fake_ifindex("fake1", 12);
	random_rules();
	random_changes();
}

static void packets_find_their_rule(void **unused)
{
	static const struct random_set set = {
		.size = CHANGES,
		.draw = draw,
		.check = check_changes,
		.print_member = print_change,
		.print_fault = print_packet,
	};

	(void)unused;
	check_random_sets(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_find_their_rule),
	};

	return cmocka_run_group_tests_name("rule_store", tests, NULL, NULL);
}
