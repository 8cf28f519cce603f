// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/supervisor.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include <shunt/pair_ends.h>

#include "bpf/pins.h"
#include "bypass/drain.h"
#include "bypass/iterators.h"
#include "bypass/pair_stages.h"
#include "bypass/tracepoints.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

/* How long the tracepoints stay attached after the last pair that needed them. */
#define LINGER_MS 100
/* Between two scans, while a pair is … */
#define IN_TRANSITION_MS 1
#define WATCHED_MS 5
#define PAIRED_MS 40
/* … and while there is none. */
#define IDLE_MS 250
/* Scans take at most one part in SCAN_SHARE of the time; while a pair is in transition or
 * watched, one part in HURRY_SHARE. */
#define SCAN_SHARE 50
#define HURRY_SHARE 4
#define MAX_WAIT_MS 1000
/* How long redirected bytes may wait for a reader that splices, until it is reset. */
#define RESET_AFTER_MS 2000

/* Whether the process has spliced within the time that a splicing reader is kept off. */
static bool has_spliced_recently(const struct supervisor *s, __u32 tgid)
{
	__u64 at_ns;

	return tgid && !bpf_map_lookup_elem(s->splicer_map, &tgid, &at_ns) &&
	       monotonic_ns() - at_ns < SPLICE_BACKOFF_MS * NS_PER_MS;
}

/* Whether the operator excluded the process that reads at this end. */
static bool is_process_excluded(const struct supervisor *s, const struct shunt_end *end)
{
	__u32 i;

	for (i = 0; i < s->conf->excludes; i++)
		if (s->excludes[i].kind == EXCLUDE_PROCESS &&
		    !strncmp(s->excludes[i].comm, end->comm, SHUNT_COMM))
			return true;
	return false;
}

/* Attaches the tracepoints that are needed now. shunt_read, which notices splices, stays while
 * there are members, also when this process dies. */
static void set_tracepoints(struct supervisor *s)
{
	__u64 now = monotonic_ns();
	bool watching;

	s->conf->run.watching = s->watched;
	if (s->watched)
		s->tracepoints_needed_ns = now;
	watching = now - s->tracepoints_needed_ns < LINGER_MS * NS_PER_MS;
	tracepoint_set_attached(&s->tp_recv, "shunt_recv",
				watching && s->conf->recv_flags_reported);
	tracepoint_set_attached(&s->tp_send, "shunt_send",
				watching && s->conf->recv_flags_reported);
	tracepoint_set_attached(&s->tp_ioctl, "shunt_ioctl", watching && s->conf->fionread_faulty);
	tracepoint_set_pinned(&s->tp_read, "shunt_read", watching || s->active || s->in_transition);
}

/* A reason that keeps the pair off the fast path; 0 if there is none. */
static __u32 pair_fault(const struct supervisor *s, const struct shunt_pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (p->end[i].fault)
			return p->end[i].fault;
		if (has_spliced_recently(s, p->end[i].tgid))
			return WHY_PROCESS_SPLICES;
	}
	return 0;
}

/* The same for reasons that are checked only once, at the end of a watch. */
static __u32 process_fault(const struct supervisor *s, struct shunt_pair *p)
{
	__u32 one;
	int i;

	for (i = 0; i < 2; i++) {
		if (is_process_excluded(s, &p->end[i]))
			return p->end[i].fault = WHY_EXCLUDED;
		if (s->conf->fionread_faulty &&
		    !bpf_map_lookup_elem(s->fionread_map, &p->end[i].tgid, &one))
			return p->end[i].fault = WHY_FIONREAD;
	}
	return 0;
}

static void step_watched(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	__u32 why = pair_fault(s, p);
	enum watch_result result = pair_watch_result(p, now);

	if (!why && result == WATCH_CLEAN)
		why = process_fault(s, p);
	if (why)
		pair_start_wait(p, why, now);
	else if (result == WATCH_CLEAN)
		pair_set_stage(p, STAGE_JOINING, now);
	else if (result != WATCH_GOES_ON)
		pair_start_wait(p, result == WATCH_STREAM ? WHY_STREAM : WHY_WATCHED, now);
}

/* Makes the pair leave if the process of one of its readers has begun to splice. */
static void leave_splicers(struct supervisor *s, struct shunt_pair *p)
{
	if (!has_spliced_recently(s, p->end[0].tgid) && !has_spliced_recently(s, p->end[1].tgid))
		return;
	if (__sync_bool_compare_and_swap(&p->stage, STAGE_ACTIVE, STAGE_LEAVING))
		p->why = WHY_PROCESS_SPLICES;
}

/* Resets a reader that splices and never receives the bytes that were redirected to it. There
 * is no other way to give it these bytes; without a reset it would read later ones. */
static void reset_stuck(struct shunt_pair *p, __u64 now)
{
	int i;

	if (now - p->since_ns < RESET_AFTER_MS * NS_PER_MS)
		return;
	for (i = 0; i < 2; i++) {
		if (p->end[i].fault != WHY_SPLICE || !p->end[i].queued)
			continue;
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
	s->conf->run.demoted++;
	pair_start_wait(p, p->why, now);
}

/* A closed socket has left the map, and scans no longer find it. */
static bool socket_gone(const struct supervisor *s, const struct shunt_end *end)
{
	return s->conf->run.scan_seq - end->last_scan > 1;
}

static void step_stage(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	switch (p->stage) {
	case STAGE_WATCHED:
		step_watched(s, p, now);
		break;
	case STAGE_JOINING:
		s->conf->run.promoted += pair_step_joining(p, pair_fault(s, p), now);
		break;
	case STAGE_ACTIVE:
		pair_note_use(p, now);
		if (s->splicers_changed)
			leave_splicers(s, p);
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

/*
 * Moves pairs from LEAVING to EMPTYING and waits until redirects that began before have
 * ended: one wait for all pairs. A pair with a reader that splices needs a wait at each scan,
 * because it goes on redirecting behind the unread bytes (must_queue_up() in skmsg/verdict.h).
 */
static void finish_leaving_pairs(struct supervisor *s, __u64 now)
{
	struct shunt_pair *p, *end = &s->table.pairs[s->table.pairs_end];
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

static void step_pairs(struct supervisor *s, __u64 now)
{
	__u32 splicer_seq = s->conf->run.splicer_seq;
	struct shunt_pair *p;

	s->splicers_changed = s->splicer_seq != splicer_seq;
	s->splicer_seq = splicer_seq;
	s->watched = s->in_transition = s->stuck = s->active = s->used = 0;
	for (p = &s->table.pairs[1]; p < &s->table.pairs[s->table.pairs_end]; p++) {
		if (p->stage == STAGE_FREE)
			continue;
		step_pair(s, p, now);
		count_pair(s, p, now);
	}
	finish_leaving_pairs(s, now);
}

/* Whether an eager pair is a stream of small messages; the rows have what both ends sent. */
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

/* Takes an eager pair off the fast path. True if it got the entry that it needs for that. */
static bool leave_eager(struct supervisor *s, const struct shunt_row *row, enum shunt_why why)
{
	struct shunt_pair *p = pair_table_add(&s->table, row, monotonic_ns());

	if (p)
		pair_leave_eager(p, why, monotonic_ns());
	return p;
}

/* Begins to watch the pair: the count makes set_tracepoints() attach the tracepoints at once,
 * and the next scan come soon. */
static void start_watch(struct supervisor *s, struct shunt_pair *p)
{
	pair_start_watch(p, monotonic_ns());
	s->watched++;
}

/* A pair that has an entry is busy: watches it again if its wait is over. */
static void watch_again(struct supervisor *s, const struct shunt_sk *sk)
{
	struct shunt_pair *p = &s->table.pairs[sk->slot];

	if (p->stage != STAGE_WAITING || own_end(p, sk)->cookie != sk->cookie)
		return;
	p->busy_ns = monotonic_ns();
	if (p->busy_ns >= p->retry_ns)
		start_watch(s, p);
}

/* An eager pair leaves if TCP is faster for it. True if it got an entry. */
static bool check_eager(struct supervisor *s, const struct shunt_row *rows, size_t n, size_t i)
{
	const struct shunt_sk *sk = &rows[i].sk;

	if (sk->lock_waits == SHUNT_LOCK_WAITS)
		return leave_eager(s, &rows[i], WHY_POLLS);
	return is_small_stream(rows, n, sk) && leave_eager(s, &rows[i], WHY_STREAM);
}

/* A pair without an entry is busy. True if it got an entry. */
static bool watch_new(struct supervisor *s, const struct shunt_row *row)
{
	struct shunt_pair *p = pair_table_add(&s->table, row, monotonic_ns());

	if (p)
		start_watch(s, p);
	return p;
}

/* Runs a scan that tells the sockets of new entries the index of their entry. */
static void assign_slots(struct supervisor *s)
{
	_cleanup_free_ struct shunt_row *none = NULL;
	size_t ignored;

	if (s->watched)
		s->conf->run.watching = 1;
	s->conf->run.assign_slots = 1;
	iter_run(s->scan_link, &none, &ignored);
	s->conf->run.assign_slots = 0;
}

/* Handles the rows of a scan: busy pairs by TCP, and eager pairs that sent much. */
static void handle_scan_results(struct supervisor *s, const struct shunt_row *rows, size_t n)
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
			assign |= check_eager(s, rows, n, i);
		else
			assign |= watch_new(s, &rows[i]);
	}
	if (assign)
		assign_slots(s);
}

/* Scans the sockets and takes the next step of each pair. Returns the CPU time, in ns. */
static __u64 scan(struct supervisor *s)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	__u64 now, start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	size_t n = 0;

	s->conf->run.scan_seq++;
	s->conf->run.scan_sockets = 0;
	if (iter_run(s->scan_link, &rows, &n))
		return 0;
	now = monotonic_ns();
	pair_table_begin_scan(&s->table, now);
	step_pairs(s, now);
	s->conf->run.pair_entries = s->used;
	bypass_wake_readers(s->conf);
	handle_scan_results(s, rows, n);
	set_tracepoints(s);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

/* ms, or longer if scans would take more than one part in share of the time. */
static int at_least_ms(int ms, __u64 scan_ns, int share)
{
	__u64 least = scan_ns * share / NS_PER_MS;

	if (least > MAX_WAIT_MS)
		return MAX_WAIT_MS;
	return least > (__u64)ms ? (int)least : ms;
}

int supervisor_scan(struct supervisor *s)
{
	__u64 scan_ns;

	if (s->scan_link < 0)
		return IDLE_MS;
	scan_ns = scan(s);
	if (s->in_transition > s->stuck)
		return at_least_ms(IN_TRANSITION_MS, scan_ns, HURRY_SHARE);
	if (s->watched)
		return at_least_ms(WATCHED_MS, scan_ns, HURRY_SHARE);
	if (!s->conf->run.scan_sockets) {
		/* The next new pair wakes us. One that came since the scan does not, but is
		 * found after IDLE_MS. */
		s->conf->run.supervisor_asleep = 1;
		return IDLE_MS;
	}
	return at_least_ms(PAIRED_MS, scan_ns, SCAN_SHARE);
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
			.pairs_end = 1,
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
	conf->run.assign_slots = 0; /* the last supervisor may have died with it set */
	for (i = 1; i < SHUNT_PAIRS; i++)
		if (s->table.pairs[i].stage != STAGE_FREE)
			s->table.pairs_end = i + 1;
	return 0;
}

/* The links of the tracepoints close when the process ends. */
void supervisor_close(struct supervisor *s)
{
	close_fd(&s->scan_link);
	close_fd(&s->table.slot_map);
	close_fd(&s->fionread_map);
	close_fd(&s->splicer_map);
}
