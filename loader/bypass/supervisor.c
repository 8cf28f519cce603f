// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/supervisor.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include <shunt/pair_ends.h>

#include "bpf/pins.h"
#include "bypass/pair_stages.h"
#include "bypass/pairs.h"
#include "bypass/tracepoints.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

/* How long the tracepoints stay after the last pair that needed them. */
#define LINGER_MS 100
/* Between two passes: something is moving, something is watched, nothing is. */
#define MOVE_MS 1
#define WATCH_PASS_MS 5
#define REST_MS 40
#define IDLE_MS 250
/* Passes take at most one part in so many of our time; while something moves or
 * is watched, the second. */
#define PASS_SHARE 50
#define HURRY_SHARE 4
#define LONGEST_MS 1000
/* How long redirected bytes may wait for a reader that splices. */
#define RESET_AFTER_MS 2000

/* Has the process spliced lately? */
static bool has_spliced_lately(const struct supervisor *s, __u32 tgid)
{
	__u64 at_ns;

	return tgid && !bpf_map_lookup_elem(s->splicer_map, &tgid, &at_ns) &&
	       monotonic_ns() - at_ns < SPLICE_BACKOFF_MS * NS_PER_MS;
}

static bool excluded(const struct supervisor *s, const struct shunt_end *end)
{
	__u32 i;

	for (i = 0; i < s->conf->excludes; i++)
		if (s->excludes[i].kind == EXCLUDE_PROCESS &&
		    !strncmp(s->excludes[i].comm, end->comm, SHUNT_COMM))
			return true;
	return false;
}

/* The one that tells splice stays while there are members, also when this
 * process dies. */
static void set_tracepoints(struct supervisor *s)
{
	__u64 now = monotonic_ns();
	bool watching;

	s->conf->watching = s->watched;
	if (s->watched)
		s->tracepoints_needed_ns = now;
	watching = now - s->tracepoints_needed_ns < LINGER_MS * NS_PER_MS;
	want_tracepoint(&s->tp_recv, "shunt_recv", watching && s->conf->recv_flags_reported);
	want_tracepoint(&s->tp_send, "shunt_send", watching && s->conf->recv_flags_reported);
	want_tracepoint(&s->tp_ioctl, "shunt_ioctl", watching && s->conf->fionread_faulty);
	want_pinned(&s->tp_read, "shunt_read", watching || s->active || s->in_transition);
}

static __u32 fault(const struct supervisor *s, const struct shunt_pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (p->end[i].fault)
			return p->end[i].fault;
		if (has_spliced_lately(s, p->end[i].tgid))
			return WHY_PROCESS_SPLICES;
	}
	return 0;
}

/* The same for what need not be asked at every pass. */
static __u32 owner_fault(const struct supervisor *s, struct shunt_pair *p)
{
	__u32 one;
	int i;

	for (i = 0; i < 2; i++) {
		if (excluded(s, &p->end[i]))
			return p->end[i].fault = WHY_EXCLUDED;
		if (s->conf->fionread_faulty && !bpf_map_lookup_elem(s->fionread_map, &p->end[i].tgid, &one))
			return p->end[i].fault = WHY_FIONREAD;
	}
	return 0;
}

static void step_watched(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	__u32 why = fault(s, p);
	enum watch_result result = pair_watch_result(p, now);

	if (!why && result == WATCH_CLEAN)
		why = owner_fault(s, p);
	if (why)
		pair_start_wait(p, why, now);
	else if (result == WATCH_CLEAN)
		pair_set_stage(p, STAGE_JOINING, now);
	else if (result != WATCH_GOES_ON)
		pair_start_wait(p, result == WATCH_STREAM ? WHY_STREAM : WHY_WATCHED, now);
}

/* A process of ours has begun to splice. */
static void step_active(struct supervisor *s, struct shunt_pair *p)
{
	if (!has_spliced_lately(s, p->end[0].tgid) && !has_spliced_lately(s, p->end[1].tgid))
		return;
	if (__sync_bool_compare_and_swap(&p->stage, STAGE_ACTIVE, STAGE_LEAVING))
		p->why = WHY_PROCESS_SPLICES;
}

/* A reader that splices and never receives the bytes redirected before can't
 * be given them: its connection ends with a reset, not with wrong bytes. */
static void reset_stuck(struct shunt_pair *p, __u64 now)
{
	int i;

	if (now - p->since_ns < RESET_AFTER_MS * NS_PER_MS)
		return;
	for (i = 0; i < 2; i++)
		if (p->end[i].fault == WHY_SPLICE && p->end[i].queued) {
			say("reset a connection of process %u: it received, then spliced", p->end[i].tgid);
			p->end[i].to_reset = 1;
			iter_everywhere("shunt_reset");
		}
	p->since_ns = now;
}

static void step_emptying(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	if (p->end[0].member || p->end[1].member) {
		reset_stuck(p, now);
		return;
	}
	s->conf->demoted++;
	pair_start_wait(p, p->why, now);
}

/* A closed socket is out of the map and met no more. */
static bool socket_gone(const struct supervisor *s, const struct shunt_end *end)
{
	return s->conf->scan_seq - end->last_scan > 1;
}

static void step_stage(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	switch (p->stage) {
	case STAGE_WATCHED:
		step_watched(s, p, now);
		break;
	case STAGE_JOINING:
		s->conf->promoted += pair_step_joining(p, fault(s, p), now);
		break;
	case STAGE_ACTIVE:
		pair_note_use(p, now);
		if (s->splicers_changed)
			step_active(s, p);
		break;
	case STAGE_LEAVING:
		pair_step_leaving(p, now);
		break;
	case STAGE_EMPTYING:
		step_emptying(s, p, now);
		break;
	}
}

static void step_pair(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	int i;

	for (i = 0; i < 2; i++)
		if (socket_gone(s, &p->end[i]))
			p->end[i].member = 0;
	if (socket_gone(s, &p->end[0]) && socket_gone(s, &p->end[1])) {
		pair_table_free(&s->table, p);
		return;
	}
	if (s->stopping && (p->stage == STAGE_ACTIVE || p->stage == STAGE_JOINING)) {
		p->why = WHY_BACKOFF;
		pair_set_stage(p, STAGE_LEAVING, now);
	}
	step_stage(s, p, now);
}

/* Redirects that began before their pair was EMPTYING are over after a wait, one
 * for all; those behind redirected bytes of a reader that splices go on until
 * there are none. */
static void settle(struct supervisor *s, __u64 now)
{
	struct shunt_pair *p, *end = &s->table.pairs[s->table.end];
	bool wait = false;
	int error;

	for (p = &s->table.pairs[1]; p < end; p++) {
		if (pair_may_empty(p, now))
			pair_start_emptying(p, now);
		wait |= pair_awaits_programs(p) || (p->stage == STAGE_EMPTYING && pair_splices(p));
	}
	if (!wait)
		return;
	error = wait_programs();
	for (p = &s->table.pairs[1]; p < end; p++)
		if (pair_awaits_programs(p))
			pair_programs_ended(p, error, monotonic_ns());
}

static void count_pair(struct supervisor *s, const struct shunt_pair *p, __u64 now)
{
	s->used += p->stage != STAGE_FREE;
	s->watched += p->stage == STAGE_WATCHED;
	s->active += p->stage == STAGE_ACTIVE;
	s->in_transition += p->stage == STAGE_JOINING || p->stage == STAGE_LEAVING ||
			    p->stage == STAGE_EMPTYING;
	s->stuck += pair_is_stuck(p, now);
}

static void step_all(struct supervisor *s, __u64 now)
{
	__u32 splicer_seq = s->conf->splicer_seq;
	struct shunt_pair *p;

	s->splicers_changed = s->splicer_seq != splicer_seq;
	s->splicer_seq = splicer_seq;
	s->watched = s->in_transition = s->stuck = s->active = s->used = 0;
	for (p = &s->table.pairs[1]; p < &s->table.pairs[s->table.end]; p++) {
		if (p->stage == STAGE_FREE)
			continue;
		step_pair(s, p, now);
		count_pair(s, p, now);
	}
	settle(s, now);
}

/* Small messages one way, of a pair that is vouched for. */
static bool is_small_stream(const struct shunt_row *rows, size_t n, const struct shunt_sk *sk)
{
	size_t i;

	if (sk->interval_msgs < SHUNT_STREAM_MSGS ||
	    sk->interval_bytes / SHUNT_STREAM_MEAN >= sk->interval_msgs)
		return false;
	for (i = 0; i < n; i++)
		if (rows[i].sk.cookie == sk->peer_cookie)
			return rows[i].sk.interval_msgs <= sk->interval_msgs / SHUNT_STREAM_SHARE;
	return true;
}

/* Out of the map, although an operator vouched for the pair: TCP is faster. */
static bool leave_vouched(struct supervisor *s, const struct shunt_row *row, enum shunt_why why)
{
	struct shunt_pair *p = pair_table_add(&s->table, row, monotonic_ns());

	if (p)
		pair_leave_eager(p, why, monotonic_ns());
	return p;
}

/* The observers are attached, and the next pass is made, at once. */
static void watch(struct supervisor *s, struct shunt_pair *p)
{
	pair_start_watch(p, monotonic_ns());
	s->watched++;
}

/* A pair that has an entry is busy. */
static void watch_again(struct supervisor *s, const struct shunt_sk *sk)
{
	struct shunt_pair *p = &s->table.pairs[sk->slot];

	if (p->stage != STAGE_WAITING || own_end(p, sk)->cookie != sk->cookie)
		return;
	p->busy_ns = monotonic_ns();
	if (p->busy_ns >= p->retry_ns)
		watch(s, p);
}

/* A vouched pair leaves if TCP is faster for it. True if it got an entry. */
static bool judge_vouched(struct supervisor *s, const struct shunt_row *rows, size_t n, size_t i)
{
	const struct shunt_sk *sk = &rows[i].sk;

	if (sk->lock_waits == SHUNT_LOCK_WAITS)
		return leave_vouched(s, &rows[i], WHY_POLLS);
	return is_small_stream(rows, n, sk) && leave_vouched(s, &rows[i], WHY_STREAM);
}

/* True if the pair got an entry. */
static bool watch_new(struct supervisor *s, const struct shunt_row *row)
{
	struct shunt_pair *p = pair_table_add(&s->table, row, monotonic_ns());

	if (p)
		watch(s, p);
	return p;
}

/* Tells the sockets of new entries. */
static void assign_slots(struct supervisor *s)
{
	_cleanup_free_ struct shunt_row *none = NULL;
	size_t ignored;

	if (s->watched)
		s->conf->watching = 1;
	s->conf->assign_slots = 1;
	iter_run(s->scan_link, &none, &ignored);
	s->conf->assign_slots = 0;
}

/* What the pass printed: plain pairs that are busy, and vouched ones. */
static void handle_rows(struct supervisor *s, const struct shunt_row *rows, size_t n)
{
	bool assign = false;
	__u32 slot;
	size_t i;

	for (i = 0; i < n && !s->stopping; i++) {
		const struct shunt_sk *sk = &rows[i].sk;

		if (sk->slot && sk->slot < SHUNT_PAIRS)
			watch_again(s, sk);
		else if (!bpf_map_lookup_elem(s->table.slot_map, &sk->cookie, &slot))
			continue;
		else if (sk->eager)
			assign |= judge_vouched(s, rows, n, i);
		else
			assign |= watch_new(s, &rows[i]);
	}
	if (assign)
		assign_slots(s);
}

/* Returns how much of a CPU it took, in ns. */
static __u64 pass(struct supervisor *s)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	__u64 now, start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	size_t n = 0;

	s->conf->scan_seq++;
	s->conf->scan_sockets = 0;
	if (iter_run(s->scan_link, &rows, &n))
		return 0;
	now = monotonic_ns();
	pair_table_begin_scan(&s->table, now);
	step_all(s, now);
	s->conf->pair_entries = s->used;
	bypass_wake_readers(s->conf);
	handle_rows(s, rows, n);
	set_tracepoints(s);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

static int at_least_ms(int ms, __u64 took_ns, int share)
{
	__u64 least = took_ns * share / NS_PER_MS;

	if (least > LONGEST_MS)
		return LONGEST_MS;
	return least > (__u64)ms ? (int)least : ms;
}

int supervisor_scan(struct supervisor *s)
{
	__u64 took;

	if (s->scan_link < 0)
		return IDLE_MS;
	took = pass(s);
	if (s->in_transition > s->stuck)
		return at_least_ms(MOVE_MS, took, HURRY_SHARE);
	if (s->watched)
		return at_least_ms(WATCH_PASS_MS, took, HURRY_SHARE);
	if (!s->conf->scan_sockets) {
		/* The next pair wakes us, unless it came meanwhile. */
		s->conf->supervisor_asleep = 1;
		return IDLE_MS;
	}
	return at_least_ms(REST_MS, took, PASS_SHARE);
}

bool supervisor_at_rest(const struct supervisor *s)
{
	return !s->active && !s->in_transition;
}

/* What was opened last fails for the same reason as what was opened first: too few file
 * descriptors; or nothing is loaded any more. */
static int why_not_open(const struct supervisor *s)
{
	return s->splicer_map < 0 ? s->splicer_map : -ENOENT;
}

int supervisor_open(struct supervisor *s, struct shunt_conf *conf)
{
	__u32 i;

	*s = (struct supervisor){
		.conf = conf,
		.excludes = pin_mmap("shunt_exclude", NULL),
		.table = {
			.conf = conf,
			.pairs = pin_mmap("shunt_pairs", NULL),
			.slot_map = pin_open("maps", "shunt_slot"),
			.end = 1,
			.first_free = 1,
		},
		.scan_link = iter_link("shunt_scan", "shunt_sk"),
		.fionread_map = pin_open("maps", "shunt_fionread"),
		.splicer_map = pin_open("maps", "shunt_splicers"),
		.tp_recv = -1, .tp_send = -1, .tp_read = -1, .tp_ioctl = -1,
	};
	if (!s->table.pairs || !s->excludes || s->table.slot_map < 0 || s->fionread_map < 0 ||
	    s->splicer_map < 0)
		return why_not_open(s);
	conf->assign_slots = 0; /* the last supervisor may have died with it set */
	for (i = 1; i < SHUNT_PAIRS; i++)
		if (s->table.pairs[i].stage != STAGE_FREE)
			s->table.end = i + 1;
	return 0;
}

/* The tracepoint links end with the process. */
void supervisor_close(struct supervisor *s)
{
	close_fd(&s->scan_link);
	close_fd(&s->table.slot_map);
	close_fd(&s->fionread_map);
	close_fd(&s->splicer_map);
}
