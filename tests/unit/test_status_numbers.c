// SPDX-License-Identifier: GPL-2.0-only
/* The table of numbers of 'shunt status' and 'shunt metrics'. */
#include "unit.h"

#include <string.h>

#include "bypass/pairs.h"
#include "cmd/metrics_table.h"
#include "cmd/status_numbers.h"

#define AT(member) offsetof(struct status_numbers, member)

/* Counters that are not printed as they are. */
static const size_t unprinted[] = {
	AT(count.nat_ended),  /* in nat_flows */
	AT(count.probes),     /* of 'shunt steer test --deliver' */
	AT(count.sk_address), /* no counter */
};

static bool is_unprinted(size_t at)
{
	size_t i;

	for (i = 0; i < sizeof(unprinted) / sizeof(*unprinted); i++)
		if (unprinted[i] == at)
			return true;
	return false;
}

static unsigned int entries_at(size_t at)
{
	const struct status_number *n;
	unsigned int count = 0;

	for (n = status_numbers; n->name; n++)
		count += n->at == at;
	return count;
}

/* So a counter that is added to struct shunt_count has to be added to the table. */
static void every_number_is_in_the_table(void **state)
{
	size_t at;

	(void)state;
	for (at = 0; at < sizeof(struct status_numbers); at += sizeof(__u64))
		if (entries_at(at) != !is_unprinted(at))
			fail_msg("the number at offset %zu has %u entries", at, entries_at(at));
}

static void names_are_unique(void **state)
{
	const struct status_number *n, *other;

	(void)state;
	for (n = status_numbers; n->name; n++)
		for (other = status_numbers; other->name; other++) {
			if (n->half != other->half)
				continue;
			assert_true(n == other || strcmp(n->name, other->name));
			assert_false(other->old_name && !strcmp(n->name, other->old_name));
		}
}

/* A reason is a label of a metric, so each has a name, and no two have the same. */
static void every_reason_has_a_name(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < WHY_COUNT; i++) {
		assert_non_null(why_name(i));
		assert_int_equal(strspn(why_name(i), "abcdefghijklmnopqrstuvwxyz_"),
				 strlen(why_name(i)));
		for (j = 0; j < i; j++)
			assert_string_not_equal(why_name(i), why_name(j));
	}
}

static void every_metric_is_in_the_table(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < METRICS; i++) {
		assert_non_null(metrics[i].name);
		assert_int_equal(metrics[i].help[strlen(metrics[i].help) - 1], '.');
	}
}

static void only_counters_are_in_struct_shunt_count(void **state)
{
	const struct status_number *n;

	(void)state;
	for (n = status_numbers; n->name; n++)
		if (n->at < sizeof(struct shunt_count))
			assert_int_equal(n->type, NUMBER_COUNTER);
}

static void a_value_is_read_at_its_offset(void **state)
{
	struct status_numbers numbers = { .count.nat_made = 7, .nat_max_flows = 9 };
	const struct status_number *n;
	__u64 sum = 0;

	(void)state;
	for (n = status_numbers; n->name; n++)
		sum += status_number_value(&numbers, n);
	assert_int_equal(sum, 16);
	assert_string_equal(status_half_name(HALF_NAT), "nat");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_is_in_the_table),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(every_reason_has_a_name),
		cmocka_unit_test(every_metric_is_in_the_table),
		cmocka_unit_test(only_counters_are_in_struct_shunt_count),
		cmocka_unit_test(a_value_is_read_at_its_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
