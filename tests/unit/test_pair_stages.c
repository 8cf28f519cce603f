// SPDX-License-Identifier: GPL-2.0-only
/* The stages of a pair: each transition, as a function of its entry and of the time. */
#include "unit.h"

#include "bypass/pair_stages.h"
#include "util/clock.h"

#define MS NS_PER_MS
#define NOW (1000000 * MS)

/* --- WATCHED -------------------------------------------------------------------- */

static void a_watch_begins_from_nothing(void **unused)
{
	struct shunt_pair p = { .stage = STAGE_WAITING,
				.why = WHY_SPLICE,
				.join_scans = 7,
				.leave_phase = LEAVE_SCANNED };
	int i;

	(void)unused;
	for (i = 0; i < 2; i++)
		p.end[i] = (struct shunt_end){ .clean_recvs = 60,
					       .fault = WHY_SPLICE,
					       .was_quiet = 1,
					       .empty_recvs = 3,
					       .empty_runs = 2 };
	pair_start_watch(&p, NOW);
	assert_int_equal(p.stage, STAGE_WATCHED);
	assert_int_equal(p.since_ns, NOW);
	assert_int_equal(p.join_scans, 0);
	assert_int_equal(p.leave_phase, LEAVE_UNHANDLED);
	for (i = 0; i < 2; i++) {
		assert_int_equal(p.end[i].clean_recvs, 0);
		assert_int_equal(p.end[i].fault, 0);
		assert_int_equal(p.end[i].was_quiet, 0);
		assert_int_equal(p.end[i].empty_recvs, 0);
		assert_int_equal(p.end[i].empty_runs, 0);
	}
}

/* The last watch saw too few receive calls: 48 of the 64 clean calls are kept. */
static void a_watch_goes_on_after_too_few_calls(void **unused)
{
	struct shunt_pair p = { .why = WHY_WATCHED };

	(void)unused;
	p.end[0].clean_recvs = 63;
	p.end[1].clean_recvs = 5;
	pair_start_watch(&p, NOW);
	assert_int_equal(p.end[0].clean_recvs, SHUNT_CLEAN_RECVS - 16);
	assert_int_equal(p.end[1].clean_recvs, 5);
}

static struct shunt_pair watched(__u32 recvs0, __u32 recvs1)
{
	struct shunt_pair p = { .stage = STAGE_WATCHED, .since_ns = NOW };

	p.end[0].clean_recvs = recvs0;
	p.end[1].clean_recvs = recvs1;
	p.end[0].was_quiet = p.end[1].was_quiet = 1;
	return p;
}

static enum watch_result result(__u32 recvs0, __u32 recvs1, __u64 ms)
{
	struct shunt_pair p = watched(recvs0, recvs1);

	return pair_watch_result(&p, NOW + ms * MS);
}

static void a_watch_ends_when_both_are_clean(void **unused)
{
	(void)unused;
	assert_int_equal(result(64, 64, 1), WATCH_CLEAN);
	assert_int_equal(result(64, 63, 1), WATCH_GOES_ON);
	assert_int_equal(result(63, 64, 1), WATCH_GOES_ON);
	/* an end that receives nothing needs no clean calls */
	assert_int_equal(result(64, 0, 1), WATCH_CLEAN);
	assert_int_equal(result(0, 64, 1), WATCH_CLEAN);
	assert_int_equal(result(0, 0, 1), WATCH_GOES_ON);
}

static void a_watch_ends_after_a_second(void **unused)
{
	(void)unused;
	assert_int_equal(result(0, 0, 1000), WATCH_GOES_ON);
	assert_int_equal(result(0, 0, 1001), WATCH_OVER);
	assert_int_equal(result(63, 63, 1001), WATCH_OVER);
	assert_int_equal(result(64, 64, 1001), WATCH_CLEAN);
}

/* Bytes go one way, and the reader always has some to read. */
static void a_watch_finds_streams(void **unused)
{
	struct shunt_pair p = watched(64, 0);

	(void)unused;
	p.end[0].was_quiet = 0;
	assert_int_equal(pair_watch_result(&p, NOW), WATCH_STREAM);
	p.end[1].clean_recvs = 1;
	assert_int_equal(pair_watch_result(&p, NOW), WATCH_GOES_ON);
	p = watched(0, 64);
	p.end[1].was_quiet = 0;
	assert_int_equal(pair_watch_result(&p, NOW), WATCH_STREAM);
}

/* --- JOINING --------------------------------------------------------------------- */

static struct shunt_pair joining(int member0, int member1)
{
	struct shunt_pair p = { .stage = STAGE_JOINING, .since_ns = NOW };

	p.end[0].member = member0;
	p.end[1].member = member1;
	return p;
}

static void a_pair_with_both_ends_in_is_active(void **unused)
{
	struct shunt_pair p = joining(1, 1);

	(void)unused;
	p.join_scans = 9;
	assert_true(pair_step_joining(&p, 0, NOW + 5));
	assert_int_equal(p.stage, STAGE_ACTIVE);
	assert_int_equal(p.active_ns, NOW + 5);
	assert_int_equal(p.join_scans, 0);
}

/* A BPF program moved the pair to LEAVING meanwhile: it stays there. */
static void a_pair_that_leaves_meanwhile_is_not_active(void **unused)
{
	struct shunt_pair p = joining(1, 1);

	(void)unused;
	p.stage = STAGE_LEAVING;
	assert_false(pair_step_joining(&p, 0, NOW));
	assert_int_equal(p.stage, STAGE_LEAVING);
}

static void joining_waits_for_a_quiet_moment(void **unused)
{
	struct shunt_pair p = joining(1, 0);
	int i;

	(void)unused;
	for (i = 0; i < 100; i++) {
		assert_false(pair_step_joining(&p, 0, NOW));
		assert_int_equal(p.stage, STAGE_JOINING);
	}
	assert_false(pair_step_joining(&p, 0, NOW));
	assert_int_equal(p.stage, STAGE_LEAVING);
	assert_int_equal(p.why, WHY_JOINING);
}

static void joining_without_a_member_waits_again(void **unused)
{
	struct shunt_pair p = joining(0, 0);

	(void)unused;
	p.join_scans = 100;
	assert_false(pair_step_joining(&p, 0, NOW));
	assert_int_equal(p.stage, STAGE_WAITING);
	assert_int_equal(p.why, WHY_JOINING);
	assert_int_equal(p.retry_ns, NOW + 1000 * MS);
}

static void joining_ends_at_a_fault(void **unused)
{
	struct shunt_pair p = joining(1, 1);

	(void)unused;
	assert_false(pair_step_joining(&p, WHY_SPLICE, NOW));
	assert_int_equal(p.stage, STAGE_LEAVING);
	assert_int_equal(p.why, WHY_SPLICE);
	p = joining(0, 0);
	assert_false(pair_step_joining(&p, WHY_SPLICE, NOW));
	assert_int_equal(p.stage, STAGE_WAITING);
	assert_int_equal(p.retry_ns, NOW + SPLICE_BACKOFF_MS * MS);
}

/* --- ACTIVE ------------------------------------------------------------------------ */

static void use_is_noted_when_messages_were_sent(void **unused)
{
	struct shunt_pair p = { .stage = STAGE_ACTIVE };

	(void)unused;
	pair_note_use(&p, NOW);
	assert_int_equal(p.busy_ns, 0);
	p.end[1].msgs = 3;
	pair_note_use(&p, NOW);
	assert_int_equal(p.busy_ns, NOW);
	assert_int_equal(p.busy_msgs, 3);
	pair_note_use(&p, NOW + MS);
	assert_int_equal(p.busy_ns, NOW);
	p.end[0].msgs = 1;
	pair_note_use(&p, NOW + 2 * MS);
	assert_int_equal(p.busy_ns, NOW + 2 * MS);
}

/* --- LEAVING and EMPTYING ------------------------------------------------------------ */

static void leaving_begins_when_it_is_seen(void **unused)
{
	struct shunt_pair p = { .stage = STAGE_LEAVING, .since_ns = NOW - 5000 * MS };

	(void)unused;
	pair_step_leaving(&p, NOW);
	assert_int_equal(p.leave_phase, LEAVE_TIMED);
	assert_int_equal(p.since_ns, NOW);
	assert_false(pair_may_empty(&p, NOW)); /* no scan has seen its queues */
	pair_step_leaving(&p, NOW + MS);
	assert_int_equal(p.leave_phase, LEAVE_SCANNED);
	assert_int_equal(p.since_ns, NOW);
	assert_true(pair_may_empty(&p, NOW + MS));
}

static struct shunt_pair leaving(void)
{
	return (struct shunt_pair){ .stage = STAGE_LEAVING,
				    .leave_phase = LEAVE_SCANNED,
				    .since_ns = NOW };
}

static void only_leaving_pairs_may_empty(void **unused)
{
	struct shunt_pair p = leaving();
	__u32 stage;

	(void)unused;
	for (stage = STAGE_FREE; stage <= STAGE_EMPTYING; stage++) {
		p.stage = stage;
		assert_int_equal(pair_may_empty(&p, NOW), stage == STAGE_LEAVING);
	}
}

static void queued_bytes_are_waited_for(void **unused)
{
	struct shunt_pair p = leaving();

	(void)unused;
	p.end[1].queued = 1;
	assert_false(pair_may_empty(&p, NOW + 1000 * MS));
	assert_true(pair_may_empty(&p, NOW + 1001 * MS));
	/* behind unread redirected bytes no byte may go by TCP */
	p.end[1].stalled = 1;
	assert_false(pair_may_empty(&p, NOW + 1001 * MS));
	p.end[1].stalled = 0;
	p.end[0].stalled = 1;
	assert_false(pair_may_empty(&p, NOW + 1001 * MS));
	p.end[0].stalled = 0;
	p.skip_quiet = 1;
	assert_true(pair_may_empty(&p, NOW));
}

static void a_reader_that_splices_is_hurried(void **unused)
{
	struct shunt_pair p = leaving();

	(void)unused;
	p.end[0].queued = p.end[0].stalled = 1;
	p.end[1].fault = WHY_SPLICE;
	assert_true(pair_splices(&p));
	assert_false(pair_may_empty(&p, NOW + 20 * MS));
	assert_true(pair_may_empty(&p, NOW + 21 * MS));
	p.end[1].fault = 0;
	assert_false(pair_splices(&p));
	p.end[0].fault = WHY_SPLICE;
	assert_true(pair_splices(&p));
}

static void emptying_waits_for_programs(void **unused)
{
	struct shunt_pair p = leaving();

	(void)unused;
	p.skip_quiet = 1;
	assert_false(pair_awaits_programs(&p));
	pair_start_emptying(&p, NOW + MS);
	assert_int_equal(p.stage, STAGE_EMPTYING);
	assert_int_equal(p.since_ns, NOW + MS);
	assert_int_equal(p.skip_quiet, 0);
	/* a scan before the last redirects saw the queues */
	assert_true(p.end[0].queued && p.end[1].queued);
	assert_true(pair_awaits_programs(&p));
	pair_programs_ended(&p, 0, NOW + 2 * MS);
	assert_false(pair_awaits_programs(&p));
	assert_int_equal(p.stage, STAGE_EMPTYING);
}

static void emptying_goes_back_when_programs_cant_be_waited_for(void **unused)
{
	struct shunt_pair p = leaving();

	(void)unused;
	pair_start_emptying(&p, NOW);
	pair_programs_ended(&p, -1, NOW + MS);
	assert_int_equal(p.stage, STAGE_LEAVING);
	assert_int_equal(p.since_ns, NOW + MS);
	assert_int_equal(p.leave_phase, LEAVE_UNHANDLED);
}

static void an_eager_pair_leaves_at_once(void **unused)
{
	struct shunt_pair p = {};

	(void)unused;
	pair_leave_eager(&p, WHY_STREAM, NOW);
	assert_int_equal(p.stage, STAGE_LEAVING);
	assert_int_equal(p.why, WHY_STREAM);
	assert_true(p.end[0].member && p.end[1].member);
	p.end[0].queued = 1;
	assert_true(pair_may_empty(&p, NOW));
}

static void a_pair_is_stuck_after_200_ms(void **unused)
{
	struct shunt_pair p = leaving();
	__u32 stage;

	(void)unused;
	assert_false(pair_is_stuck(&p, NOW + 201 * MS));
	p.end[1].queued = 1;
	assert_false(pair_is_stuck(&p, NOW + 200 * MS));
	for (stage = STAGE_FREE; stage <= STAGE_EMPTYING; stage++) {
		p.stage = stage;
		assert_int_equal(pair_is_stuck(&p, NOW + 201 * MS), stage >= STAGE_LEAVING);
	}
}

/* --- WAITING ------------------------------------------------------------------------- */

static void waits_grow_and_shrink(void **unused)
{
	(void)unused;
	assert_int_equal(pair_next_backoff(0, 0), 1000);
	assert_int_equal(pair_next_backoff(1000, 0), 4000);
	assert_int_equal(pair_next_backoff(4000, 4000), 16000);
	assert_int_equal(pair_next_backoff(16000, 16001), 4000);
	assert_int_equal(pair_next_backoff(4000, 5000), 1000);
	assert_int_equal(pair_next_backoff(1000, 5000), 1000);
	assert_int_equal(pair_next_backoff(100000, 0), 300000);
	assert_int_equal(pair_next_backoff(300000, 0), 300000);
}

static void a_wait_ends_after_its_time(void **unused)
{
	struct shunt_pair p = { .stage = STAGE_EMPTYING, .backoff_ms = 4000 };

	(void)unused;
	pair_start_wait(&p, WHY_POLLS, NOW);
	assert_int_equal(p.stage, STAGE_WAITING);
	assert_int_equal(p.why, WHY_POLLS);
	assert_int_equal(p.backoff_ms, 16000);
	assert_int_equal(p.retry_ns, NOW + 16000 * MS);
	/* it was on the fast path for longer than it had waited */
	p.active_ns = NOW;
	pair_start_wait(&p, WHY_POLLS, NOW + 16001 * MS);
	assert_int_equal(p.backoff_ms, 4000);
	assert_int_equal(p.active_ns, 0);
}

static void a_reader_that_splices_waits_ten_minutes(void **unused)
{
	struct shunt_pair p = {};

	(void)unused;
	pair_start_wait(&p, WHY_SPLICE, NOW);
	assert_int_equal(p.retry_ns, NOW + 600000 * MS);
	assert_int_equal(p.backoff_ms, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watch_begins_from_nothing),
		cmocka_unit_test(a_watch_goes_on_after_too_few_calls),
		cmocka_unit_test(a_watch_ends_when_both_are_clean),
		cmocka_unit_test(a_watch_ends_after_a_second),
		cmocka_unit_test(a_watch_finds_streams),
		cmocka_unit_test(a_pair_with_both_ends_in_is_active),
		cmocka_unit_test(a_pair_that_leaves_meanwhile_is_not_active),
		cmocka_unit_test(joining_waits_for_a_quiet_moment),
		cmocka_unit_test(joining_without_a_member_waits_again),
		cmocka_unit_test(joining_ends_at_a_fault),
		cmocka_unit_test(use_is_noted_when_messages_were_sent),
		cmocka_unit_test(leaving_begins_when_it_is_seen),
		cmocka_unit_test(only_leaving_pairs_may_empty),
		cmocka_unit_test(queued_bytes_are_waited_for),
		cmocka_unit_test(a_reader_that_splices_is_hurried),
		cmocka_unit_test(emptying_waits_for_programs),
		cmocka_unit_test(emptying_goes_back_when_programs_cant_be_waited_for),
		cmocka_unit_test(an_eager_pair_leaves_at_once),
		cmocka_unit_test(a_pair_is_stuck_after_200_ms),
		cmocka_unit_test(waits_grow_and_shrink),
		cmocka_unit_test(a_wait_ends_after_its_time),
		cmocka_unit_test(a_reader_that_splices_waits_ten_minutes),
	};

	return cmocka_run_group_tests_name("pair_stages", tests, NULL, NULL);
}
