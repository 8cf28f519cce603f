// SPDX-License-Identifier: GPL-2.0-only
/*
 * One scan after another. A scan runs the iterator shunt_scan (sockops/promote.bpf.c) over the
 * paired sockets. The iterator does what needs the socket: it puts ends into the map and takes
 * them out, and looks for faults. It returns a row (struct shunt_row) for the server's end of each
 * pair by TCP that got busy, and for each end of an eager pair that sent much. Then, in this order:
 *
 *   step_pairs()           moves pairs with an entry to their next stage (pair_steps.h); the decision
 *                          that a pair is fit for the fast path is step_watched()
 *   bypass_wake_readers()  wakes readers whose sockets left the map with bytes by TCP unread
 *   handle_scan_results()  makes entries for the pairs of the rows, or watches them again
 *   set_tracepoints()      attaches what watches receive calls, or detaches it
 *
 * The stages of all pairs give the time until the next scan.
 */
#include "bypass/supervisor.h"

#include <errno.h>

#include <bpf/bpf.h>

#include <shunt/pair_ends.h>

#include "bpf/pins.h"
#include "bypass/drain.h"
#include "bypass/iterators.h"
#include "bypass/pair_stages.h"
#include "bypass/pair_steps.h"
#include "bypass/tracepoints.h"
#include "util/cleanup.h"
#include "util/clock.h"

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

/* Whether an eager pair is a stream of small messages. A peer without a row has sent little. */
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

/* Called for a busy pair that has an entry: watches it again if its wait is over. */
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

/* Called for a busy pair that has no entry. True if it got an entry. */
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

/* Handles the rows of a scan: busy pairs by TCP, and eager pairs that sent much. A socket in
 * shunt_slot has an entry already, although the socket does not know the index yet. */
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
	bypass_wake_readers(HALF_BYPASS, &s->conf->run.wakeups_pending);
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

/* The error of the first thing that could not be opened: nothing is loaded any more, or there are too
 * few file descriptors. Maps that can't be mapped have no error of their own. */
static int why_not_open(const struct supervisor *s)
{
	if (s->table.slot_map < 0)
		return s->table.slot_map;
	if (s->scan_link < 0)
		return s->scan_link;
	if (s->fionread_map < 0)
		return s->fionread_map;
	if (s->splicer_map < 0)
		return s->splicer_map;
	return s->table.pairs && s->excludes ? 0 : -ENOENT;
}

int supervisor_open(struct supervisor *s, struct shunt_conf *conf)
{
	int error;
	__u32 i;

	*s = (struct supervisor){
		.conf = conf,
		.excludes = pin_mmap(HALF_BYPASS, "shunt_exclude", NULL),
		.table = {
			.conf = conf,
			.pairs = pin_mmap(HALF_BYPASS, "shunt_pairs", NULL),
			.slot_map = pin_open(HALF_BYPASS, "maps", "shunt_slot"),
			.pairs_end = 1,
			.first_free = 1,
		},
		.scan_link = iter_link(HALF_BYPASS, "shunt_scan", "shunt_sk"),
		.fionread_map = pin_open(HALF_BYPASS, "maps", "shunt_fionread"),
		.splicer_map = pin_open(HALF_BYPASS, "maps", "shunt_splicers"),
		.tp_recv = -1, .tp_send = -1, .tp_read = -1, .tp_ioctl = -1,
	};
	error = why_not_open(s);
	if (error)
		return error;
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
