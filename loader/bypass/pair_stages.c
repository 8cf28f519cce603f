// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/pair_stages.h"

#include "util/clock.h"

/* At least this many of the SHUNT_CLEAN_RECVS clean calls have to come from the last watch. */
#define LATE_RECVS 16
/* A watch without a result ends after this time. */
#define WATCH_MS 1000
/* Bounds of the time between two watches. */
#define MIN_BACKOFF_MS 1000
#define MAX_BACKOFF_MS 300000
/* JOINING ends after this number of scans if an end always has something unread. */
#define MAX_JOIN_SCANS 100
/* LEAVING ends after this time if the reader reads, but always has more to read. */
#define LEAVE_MS 1000
/* The same for a reader that splices. */
#define LEAVE_SPLICE_MS 20
/* If LEAVING or EMPTYING takes longer, the pair waits for its reader. */
#define STUCK_AFTER_MS 200

static bool stage_is_older_than(const struct shunt_pair *p, __u64 ms, __u64 now_ns)
{
	return now_ns - p->since_ns > ms * NS_PER_MS;
}

void pair_set_stage(struct shunt_pair *p, enum shunt_stage stage, __u64 now_ns)
{
	p->since_ns = now_ns;
	__atomic_store_n(&p->stage, stage, __ATOMIC_SEQ_CST);
}

void pair_start_watch(struct shunt_pair *p, __u64 now_ns)
{
	const __u32 kept_recvs = p->why == WHY_WATCHED ? SHUNT_CLEAN_RECVS - LATE_RECVS : 0;
	int i;

	for (i = 0; i < 2; i++) {
		if (p->end[i].clean_recvs > kept_recvs)
			p->end[i].clean_recvs = kept_recvs;
		p->end[i].fault = 0;
		p->end[i].was_quiet = 0;
		p->end[i].empty_recvs = p->end[i].empty_runs = 0;
	}
	p->join_scans = 0;
	p->leave_phase = LEAVE_UNHANDLED;
	pair_set_stage(p, STAGE_WATCHED, now_ns);
}

__u32 pair_next_backoff(__u32 last_ms, __u64 active_ms)
{
	__u32 ms = active_ms > last_ms ? last_ms / 4 : last_ms * 4;

	if (ms < MIN_BACKOFF_MS)
		return MIN_BACKOFF_MS;
	return ms < MAX_BACKOFF_MS ? ms : MAX_BACKOFF_MS;
}

void pair_start_wait(struct shunt_pair *p, enum shunt_why why, __u64 now_ns)
{
	__u64 active_ms = p->active_ns ? (now_ns - p->active_ns) / NS_PER_MS : 0;

	p->backoff_ms = pair_next_backoff(p->backoff_ms, active_ms);
	p->active_ns = 0;
	p->why = why;
	p->retry_ns = now_ns + (why == WHY_SPLICE ? SPLICE_BACKOFF_MS : p->backoff_ms) * NS_PER_MS;
	pair_set_stage(p, STAGE_WAITING, now_ns);
}

/* Whether the sender only sends, and the reader was never seen without bytes to read. */
static bool is_stream(const struct shunt_end *reader, const struct shunt_end *sender)
{
	return reader->clean_recvs >= SHUNT_CLEAN_RECVS && !sender->clean_recvs &&
	       !reader->was_quiet;
}

/* Whether the end's receive calls qualify it. An end that receives nothing needs none. */
static bool is_clean(const struct shunt_end *end)
{
	return end->clean_recvs >= SHUNT_CLEAN_RECVS || !end->clean_recvs;
}

enum watch_result pair_watch_result(const struct shunt_pair *p, __u64 now_ns)
{
	const struct shunt_end *e = p->end;

	if (is_stream(&e[0], &e[1]) || is_stream(&e[1], &e[0]))
		return WATCH_STREAM;
	if (is_clean(&e[0]) && is_clean(&e[1]) && (e[0].clean_recvs || e[1].clean_recvs))
		return WATCH_CLEAN;
	return stage_is_older_than(p, WATCH_MS, now_ns) ? WATCH_OVER : WATCH_GOES_ON;
}

bool pair_step_joining(struct shunt_pair *p, enum shunt_why fault, __u64 now_ns)
{
	if (!fault && p->end[0].member && p->end[1].member) {
		p->join_scans = 0;
		p->active_ns = now_ns;
		return __sync_bool_compare_and_swap(&p->stage, STAGE_JOINING, STAGE_ACTIVE);
	}
	if (!fault && ++p->join_scans <= MAX_JOIN_SCANS)
		return false;
	p->why = fault ? fault : WHY_JOINING;
	p->join_scans = 0;
	if (p->end[0].member || p->end[1].member)
		pair_set_stage(p, STAGE_LEAVING, now_ns);
	else
		pair_start_wait(p, p->why, now_ns);
	return false;
}

void pair_note_use(struct shunt_pair *p, __u64 now_ns)
{
	__u64 msgs = p->end[0].msgs + p->end[1].msgs;

	if (msgs != p->busy_msgs)
		p->busy_ns = now_ns;
	p->busy_msgs = msgs;
}

void pair_leave_eager(struct shunt_pair *p, enum shunt_why why, __u64 now_ns)
{
	p->end[0].member = p->end[1].member = 1;
	p->why = why;
	p->skip_quiet = 1;
	p->leave_phase = LEAVE_TIMED;
	pair_set_stage(p, STAGE_LEAVING, now_ns);
}

/* A program may have set LEAVING, without the time. So the time begins at the first step. */
void pair_step_leaving(struct shunt_pair *p, __u64 now_ns)
{
	if (p->leave_phase == LEAVE_UNHANDLED) {
		p->since_ns = now_ns;
		p->leave_phase = LEAVE_TIMED;
	} else {
		p->leave_phase = LEAVE_SCANNED;
	}
}

bool pair_splices(const struct shunt_pair *p)
{
	return p->end[0].fault == WHY_SPLICE || p->end[1].fault == WHY_SPLICE;
}

/* While the same bytes stay unread, the pair does not go on: what would go by TCP then follows
 * redirected bytes that nobody reads (may_queue_up() in skmsg/verdict.h). */
bool pair_may_empty(const struct shunt_pair *p, __u64 now_ns)
{
	if (p->stage != STAGE_LEAVING)
		return false;
	if (!p->end[0].queued && !p->end[1].queued)
		return p->leave_phase == LEAVE_SCANNED;
	if (pair_splices(p))
		return stage_is_older_than(p, LEAVE_SPLICE_MS, now_ns);
	return (p->skip_quiet || stage_is_older_than(p, LEAVE_MS, now_ns)) && !p->end[0].stalled &&
	       !p->end[1].stalled;
}

/* Both queues count as not empty until the next scan, because a redirect may have come after
 * the last one. */
void pair_start_emptying(struct shunt_pair *p, __u64 now_ns)
{
	p->end[0].queued = p->end[1].queued = 1;
	p->skip_quiet = 0;
	p->leave_phase = LEAVE_GRACE_PENDING;
	pair_set_stage(p, STAGE_EMPTYING, now_ns);
}

bool pair_awaits_programs(const struct shunt_pair *p)
{
	return p->stage == STAGE_EMPTYING && p->leave_phase == LEAVE_GRACE_PENDING;
}

void pair_programs_ended(struct shunt_pair *p, int error, __u64 now_ns)
{
	p->leave_phase = error ? LEAVE_UNHANDLED : LEAVE_GRACE_OVER;
	if (error)
		pair_set_stage(p, STAGE_LEAVING, now_ns);
}

bool pair_is_stuck(const struct shunt_pair *p, __u64 now_ns)
{
	return (p->stage == STAGE_LEAVING || p->stage == STAGE_EMPTYING) &&
	       (p->end[0].queued || p->end[1].queued) &&
	       stage_is_older_than(p, STUCK_AFTER_MS, now_ns);
}
