// SPDX-License-Identifier: GPL-2.0-only
/* Which pairs have an entry in the supervisor's table when there are too many. */
#include "unit.h"

#include <bpf/bpf.h>

#include "bypass/pair_table.h"
#include "fake_maps.h"

#define SECOND 1000000000ULL
#define NOW (1000 * SECOND)

static struct shunt_conf conf;
static struct pair_table table;

static int setup(void **unused)
{
	(void)unused;
	conf = (struct shunt_conf){ .run.scan_seq = 77 };
	table = (struct pair_table){
		.conf = &conf,
		.pairs = calloc(SHUNT_PAIRS, sizeof(struct shunt_pair)),
		.slot_map = fake_hash("shunt_slot", sizeof(__u64), sizeof(__u32), 2 * SHUNT_PAIRS),
		.pairs_end = 1,
		.first_free = 1,
	};
	pair_table_begin_scan(&table, NOW);
	return !table.pairs;
}

static int teardown(void **unused)
{
	(void)unused;
	free(table.pairs);
	fake_reset();
	return 0;
}

static struct shunt_row row(__u64 number, __u64 cgroup)
{
	return (struct shunt_row){ .cgroup = cgroup,
				   .sk = { .cookie = 2 * number, .peer_cookie = 2 * number + 1 } };
}

static struct shunt_pair *add(__u64 number, __u64 cgroup, __u64 now_ns)
{
	const struct shunt_row r = row(number, cgroup);

	return pair_table_add(&table, &r, now_ns);
}

/* Fills the table by hand: the map of slots would be slow. */
static void fill(__u32 from, __u32 count, __u64 cgroup, __u32 stage, __u64 busy_ns)
{
	__u32 i;

	for (i = from; i < from + count; i++)
		table.pairs[i] = (struct shunt_pair){ .stage = stage,
						      .cgroup = cgroup,
						      .busy_ns = busy_ns };
	if (table.pairs_end < i)
		table.pairs_end = i;
}

static __u32 slot_of(__u64 cookie)
{
	__u32 slot = 0;

	return bpf_map_lookup_elem(table.slot_map, &cookie, &slot) ? 0 : slot;
}

static void a_pair_gets_a_free_entry(void **unused)
{
	struct shunt_row r = row(5, 1);
	struct shunt_pair *p;

	(void)unused;
	r.sk.is_client = 1;
	p = pair_table_add(&table, &r, NOW);
	assert_ptr_equal(p, &table.pairs[1]);
	assert_int_equal(p->end[0].cookie, 10); /* the end that connected */
	assert_int_equal(p->end[1].cookie, 11);
	assert_int_equal(p->end[0].last_scan, 77);
	assert_int_equal(p->end[1].last_scan, 77);
	assert_int_equal(p->busy_ns, NOW);
	assert_int_equal(p->cgroup, 1);
	assert_int_equal(slot_of(10), 1);
	assert_int_equal(slot_of(11), 1);
	assert_int_equal(table.pairs_end, 2);
	p->stage = STAGE_WAITING;
	r.sk.is_client = 0;
	r.sk.cookie = 20;
	p = pair_table_add(&table, &r, NOW);
	assert_ptr_equal(p, &table.pairs[2]);
	assert_int_equal(p->end[1].cookie, 20);
	assert_int_equal(p->end[0].cookie, 11);
}

static void a_freed_entry_is_used_again(void **unused)
{
	struct shunt_pair *a, *b;

	(void)unused;
	a = add(1, 1, NOW);
	a->stage = STAGE_WAITING;
	b = add(2, 1, NOW);
	b->stage = STAGE_WAITING;
	pair_table_free(&table, a);
	assert_int_equal(a->stage, STAGE_FREE);
	assert_int_equal(slot_of(2), 0);
	assert_int_equal(slot_of(4), 2);
	assert_ptr_equal(add(3, 1, NOW), a);
}

/* The socket has connected again, and is in another pair. */
static void freeing_leaves_the_slot_of_another_pair(void **unused)
{
	struct shunt_pair *a, *b;

	(void)unused;
	a = add(1, 1, NOW);
	a->stage = STAGE_WAITING;
	b = add(1, 1, NOW);
	b->stage = STAGE_WAITING;
	assert_int_equal(slot_of(2), 2);
	pair_table_free(&table, a);
	assert_int_equal(slot_of(2), 2);
	pair_table_free(&table, b);
	assert_int_equal(fake_count(table.slot_map), 0);
}

static void an_idle_pair_that_waits_gives_way(void **unused)
{
	struct shunt_pair *p;

	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WATCHED, NOW);
	fill(500, 3, 1, STAGE_WAITING, NOW - 6 * SECOND);
	table.pairs[501].busy_ns = NOW - 7 * SECOND;
	p = add(1, 1, NOW);
	assert_ptr_equal(p, &table.pairs[501]); /* idle for longest */
	assert_int_equal(conf.run.reclaimed, 1);
	assert_int_equal(conf.run.no_entry, 0);
	assert_int_equal(conf.run.pair_table_full, 0);
}

static void an_idle_pair_on_the_fast_path_leaves_first(void **unused)
{
	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WATCHED, NOW);
	fill(500, 1, 1, STAGE_ACTIVE, NOW - 6 * SECOND);
	assert_null(add(1, 1, NOW));
	assert_int_equal(table.pairs[500].stage, STAGE_LEAVING);
	assert_int_equal(table.pairs[500].why, WHY_RECLAIMED);
	assert_int_equal(table.pairs[500].since_ns, NOW);
	assert_int_equal(conf.run.reclaimed, 0);
	assert_int_equal(conf.run.no_entry, 1);
}

static void busy_pairs_of_the_own_cgroup_stay(void **unused)
{
	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WAITING, NOW - SECOND);
	assert_null(add(1, 1, NOW));
	assert_int_equal(conf.run.no_entry, 1);
	assert_int_equal(conf.run.pair_table_full, 1);
}

/* A cgroup with less than its share takes from the cgroup with the most pairs, busy or not. */
static void a_small_cgroup_gets_its_share(void **unused)
{
	struct shunt_pair *p;

	(void)unused;
	fill(1, 12000, 1, STAGE_WAITING, NOW);
	fill(12001, SHUNT_PAIRS - 12001, 2, STAGE_WAITING, NOW);
	table.pairs[7].busy_ns = NOW - SECOND;
	p = add(1, 3, NOW);
	assert_ptr_equal(p, &table.pairs[7]);
	assert_int_equal(p->cgroup, 3);
	p->stage = STAGE_WAITING;
	/* the cgroup with the most pairs gets no more */
	assert_null(add(2, 1, NOW));
}

/* Of idle pairs one of the cgroup with the most pairs goes, not the one that is idle longest. */
static void the_largest_cgroup_gives_first(void **unused)
{
	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WATCHED, NOW);
	fill(100, 3, 2, STAGE_WATCHED, NOW);
	fill(50, 1, 1, STAGE_WAITING, NOW - 6 * SECOND);
	fill(101, 1, 2, STAGE_WAITING, NOW - 9 * SECOND);
	fill(200, 1, 2, STAGE_WAITING, NOW - 9 * SECOND);
	assert_ptr_equal(add(1, 3, NOW), &table.pairs[50]);
}

static void searches_in_a_pass_are_bounded(void **unused)
{
	int i;

	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WAITING, NOW - 6 * SECOND);
	for (i = 0; i < 64; i++)
		add(i, 1, NOW)->stage = STAGE_WAITING;
	assert_null(add(64, 1, NOW));
	pair_table_begin_scan(&table, NOW);
	assert_non_null(add(64, 1, NOW));
}

static void want_of_room_is_told_for_two_seconds(void **unused)
{
	(void)unused;
	fill(1, SHUNT_PAIRS - 1, 1, STAGE_WATCHED, NOW);
	assert_null(add(1, 1, NOW));
	pair_table_begin_scan(&table, NOW + 2 * SECOND);
	assert_int_equal(conf.run.pair_table_full, 1);
	pair_table_begin_scan(&table, NOW + 2 * SECOND + 1);
	assert_int_equal(conf.run.pair_table_full, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pair_gets_a_free_entry),
		TEST(a_freed_entry_is_used_again),
		TEST(freeing_leaves_the_slot_of_another_pair),
		TEST(an_idle_pair_that_waits_gives_way),
		TEST(an_idle_pair_on_the_fast_path_leaves_first),
		TEST(busy_pairs_of_the_own_cgroup_stay),
		TEST(a_small_cgroup_gets_its_share),
		TEST(the_largest_cgroup_gives_first),
		TEST(searches_in_a_pass_are_bounded),
		TEST(want_of_room_is_told_for_two_seconds),
	};

	return cmocka_run_group_tests_name("pair_table", tests, NULL, NULL);
}
