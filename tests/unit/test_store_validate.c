// SPDX-License-Identifier: GPL-2.0-only
/* store_validate() finds faults of a store; the store's bounds; failures of its calls. */
#include "rules/rule_copy.h"
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "fake_maps.h"
#include "fake_store.h"
#include "rules/counters.h"
#include "rules/port_ranges.h"
#include "rules/rule_store.h"
#include "rules/units.h"

static struct shunt_rule rule(const char *text)
{
	struct shunt_rule r;
	struct words w;

	words_split(text, &w);
	assert_int_equal(rule_parse(w.argc, w.argv, &r), 0);
	words_free(&w);
	return r;
}

static void add(const char *text)
{
	struct shunt_rule r = rule(text);
	bool new;

	assert_int_equal(rules_add(&r, &new), 0);
	assert_true(new);
}

static int validate(void)
{
	char fault[STORE_FAULT];

	return rules_validate(fault);
}

static int setup(void **unused)
{
	(void)unused;
	fake_store_open(100000);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	fake_store_close();
	return 0;
}

/* Rules of every kind: nodes of sources and interfaces, single ports, ranges, lists. */
static void add_some(void)
{
	static const char *const with[] = { "",
					    " dport 80",
					    " dport 81",
					    " dport 80 sport 7",
					    " dport 80-90",
					    " dport 85-95",
					    " dport 1-100 sport 5",
					    " dport 1-100 sport 6",
					    " iface fake0",
					    " iface fake1",
					    " src 10.9.0.0/16",
					    " src 10.9.0.0/17 iface fake0" };
	char text[128];
	size_t i;

	for (i = 0; i < sizeof(with) / sizeof(*with); i++) {
		snprintf(text, sizeof(text), "tcp dst 10.1.0.0/16%s pass", with[i]);
		add(text);
		snprintf(text, sizeof(text), "udp dst 2001:db8::/77%s%s",
			 i < 10 ? with[i] : " dport 7-9", i == 11 ? " src ::/3 pass" : " pass");
		add(text);
	}
	add("tcp dst 0.0.0.0/0 pass");
}

static void stores_are_in_order(void **unused)
{
	(void)unused;
	assert_int_equal(validate(), 0);
	add_some();
	assert_int_equal(validate(), 0);
	assert_int_equal(rules_count(), 25);
}

/* --- faults ------------------------------------------------------------------------- */

static struct shunt_store_header *header_now(void)
{
	size_t size;

	return fake_store(&size);
}

static struct shunt_store_journal *journal_now(void)
{
	return (struct shunt_store_journal *)((char *)header_now() + 2 * SHUNT_UNIT);
}

static void refuse_store(const char *message)
{
	char fault[STORE_FAULT];

	assert_int_equal(rules_validate(fault), -EIO);
	assert_has(fault, message);
}

static void books_are_checked(void **unused)
{
	struct shunt_store_journal *journal = journal_now();

	(void)unused;
	add_some();
	journal->rules++;
	refuse_store("25 rules are found, not 26");
	journal->rules--;
	journal->index_used++;
	refuse_store("slots of the index are taken");
	journal->index_used--;
	journal->filter_used--;
	refuse_store("slots of the filter are taken");
	journal->filter_used++;
	journal->next_free_unit = 1;
	refuse_store("its journal is not in order");
	header_now()->index_mask++;
	refuse_store("its header is not in order");
}

static struct shunt_rule *rule_now(const char *text)
{
	const struct shunt_rule r = rule(text);

	return (struct shunt_rule *)rules_find(&r);
}

static void rules_are_checked(void **unused)
{
	struct shunt_rule *r;

	(void)unused;
	add_some();
	r = rule_now("tcp dst 10.1.0.0/16 dport 80-90 pass");
	r->dport_high--;
	refuse_store("a range of ports differs from its rule's");
	r->dport_high++;
	r->dst[0]++;
	refuse_store("a rule is at a node of other packets");
	r->dst[0]--;
	r->proto = IPPROTO_UDP;
	refuse_store("a rule is at a node of other packets");
	r->proto = IPPROTO_TCP;
	r->counters = 5000;
	refuse_store("a rule has counters that were never given away");
	r->counters = rule_now("tcp dst 10.1.0.0/16 dport 81 pass")->counters;
	refuse_store("a rule has the counters of another one");
}

static void interfaces_are_checked(void **unused)
{
	struct shunt_rule_iface *ifaces;

	(void)unused;
	add_some();
	ifaces = (struct shunt_rule_iface *)((char *)header_now() +
					     header_now()->ifaces * SHUNT_UNIT);
	ifaces[0].ifindex++;
	refuse_store("the interface of a rule is not listed");
}

/* Inverts each bit in use once. Some faults stay unnoticed, because a search does not need the
 * bit; no search may leave the store. */
static void any_bit_may_be_wrong(void **unused)
{
	unsigned int noticed = 0, tried = 0;
	__u64 *word = (__u64 *)header_now();
	size_t at, end = (size_t)journal_now()->next_free_unit * 8;
	int bit;

	(void)unused;
	add_some();
	end = (size_t)journal_now()->next_free_unit * 8;
	for (at = 0; at < end; at++) {
		if (!word[at])
			continue;
		bit = random_below(64);
		word[at] ^= 1ULL << bit;
		noticed += !!validate();
		word[at] ^= 1ULL << bit;
		tried++;
	}
	assert_int_equal(validate(), 0);
	assert_true(noticed * 3 > tried);
}

/* --- bounds and failures ------------------------------------------------------------------ */

static void a_bound_of_rules_is_kept(void **unused)
{
	struct shunt_rule r = rule("tcp dst 10.0.0.3 pass");
	bool new;

	(void)unused;
	fake_store_close();
	fake_store_open(2);
	add("tcp dst 10.0.0.1 pass");
	add("tcp dst 10.0.0.2 pass");
	messages_begin();
	assert_int_equal(rules_add(&r, &new), -ENOSPC);
	assert_has(messages_end(), "no room for more than 2 rules");
	r = rule("tcp dst 10.0.0.2 to 127.0.0.1:9");
	assert_int_equal(rules_add(&r, &new), 0);
	assert_false(new);
}

/* The store is replaced by larger ones meanwhile, and the counters move. */
static void stores_grow(void **unused)
{
	struct shunt_rule r = rule("tcp dst 10.0.0.0/8 dport 1-2 src 10.1.1.1 pass");
	const struct shunt_rule **sorted;
	__u32 i, count;
	bool new;

	(void)unused;
	for (i = 0; i < 3000; i++) {
		r.dport_low = 1 + i % 1000;
		r.dport_high = r.dport_low + 1 + i / 1000;
		assert_int_equal(rules_add(&r, &new), 0);
		r.dst[1] = i % 8 ? i >> 3 : 0;
		r.dst_len = i % 8 ? 16 : 8;
	}
	assert_int_equal(validate(), 0);
	assert_int_equal(rules_sorted(&sorted, &count), 0);
	assert_int_equal(count, rules_count());
	for (i = 1; i < count; i++)
		assert_true(rule_order(sorted[i - 1], sorted[i]) < 0);
	free(sorted);
	assert_int_equal(rules_flush(), 0);
	assert_int_equal(rules_count(), 0);
	assert_int_equal(validate(), 0);
}

static void rules_keep_their_counters(void **unused)
{
	struct shunt_rule r = rule("tcp dst 10.0.0.1 to 127.0.0.1:9");
	const struct shunt_rule *was;
	struct rule_copy *copy;
	__u32 counters, copied = 0;
	bool new;

	(void)unused;
	add("tcp dst 10.0.0.1 pass");
	add("tcp dst 10.0.0.2 pass");
	counters = rules_find(&r)->counters;
	assert_int_equal(rules_add(&r, &new), 0);
	assert_false(new);
	was = rules_find(&r);
	assert_int_equal(was->counters, counters);
	assert_int_equal(rules_copy(&was, 1, &copy, &copied), 0);
	assert_int_equal(copied, 1);
	assert_memory_equal(&copy->rule, was, sizeof(*was));
	assert_int_equal(copy->counts.packets, 0);
	assert_true(copy->counts.last_hit > 0);
	free(copy);
	was = &r;
	assert_int_equal(rules_replace(&was, 1), 0);
	assert_int_equal(rules_find(&r)->counters, counters);
	assert_int_equal(rules_count(), 1);
	assert_int_equal(rules_del(&r), 0);
	assert_int_equal(rules_del(&r), -ENOENT);
	assert_null(rules_find(&r));
	assert_null(rules_at(0));
}

/* Whichever call fails, the rules stay as they were. */
static void failures_change_nothing(void **unused)
{
	const struct shunt_rule r = rule("udp dst 10.0.0.1 pass"), *all = &r;
	int n, error;

	(void)unused;
	add_some();
	for (n = 1, error = -1; error; n++) {
		assert_true(n < 10);
		fake_fail(n, ENOMEM);
		messages_begin();
		error = rules_replace(&all, 1);
		messages_end();
		fake_fail(0, 0);
		assert_int_equal(rules_count(), error ? 25 : 1);
		assert_int_equal(validate(), 0);
	}
	assert_true(n > 2);
	assert_non_null(rules_find(&r));
}

/* A command was killed before, or after, its change: the next command repairs the journal. */
static void killed_commands_are_repaired(void **unused)
{
	struct shunt_store_journal *journal = journal_now();

	(void)unused;
	add_some();
	journal->change_slot = 1;
	journal->change_value = 77; /* the slot has another value: the change did not take place */
	journal->change_rules = 99;
	rules_close();
	assert_int_equal(rules_open(), 0);
	assert_int_equal(validate(), 0);
	assert_int_equal(rules_count(), 25);
	/* the slot has the value: only the counts are missing */
	journal->change_slot = 1;
	journal->change_value = *(__u64 *)((char *)header_now() + header_now()->index * SHUNT_UNIT);
	journal->change_rules = 25;
	journal->change_counters = 0;
	journal->rules = 24;
	rules_close();
	assert_int_equal(rules_open(), 0);
	assert_int_equal(validate(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stores_are_in_order),
		TEST(books_are_checked),
		TEST(rules_are_checked),
		TEST(interfaces_are_checked),
		TEST(any_bit_may_be_wrong),
		TEST(a_bound_of_rules_is_kept),
		TEST(stores_grow),
		TEST(rules_keep_their_counters),
		TEST(failures_change_nothing),
		TEST(killed_commands_are_repaired),
	};

	return cmocka_run_group_tests_name("store_validate", tests, NULL, NULL);
}
