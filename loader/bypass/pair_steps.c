// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/pair_steps.h"

#include <string.h>

#include <bpf/bpf.h>

#include "bypass/iterators.h"
#include "bypass/pair_stages.h"
#include "util/clock.h"
#include "util/log.h"

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

/* The reason why a process of the pair must not read from the fast path; 0 if there is none. Asked
 * for once, at the end of a watch. */
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

/* WATCHED: to JOINING or WAITING, or no step. */
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

/* ACTIVE: to LEAVING if the process of one of its readers has begun to splice, on any socket. */
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
		iter_everywhere(HALF_BYPASS, "shunt_reset");
	}
	p->since_ns = now;
}

/* EMPTYING: to WAITING once both ends have left the map. Scans take them out. */
static void step_emptying(struct supervisor *s, struct shunt_pair *p, __u64 now)
{
	if (p->end[0].member || p->end[1].member) {
		reset_stuck(p, now);
		return;
	}
	s->conf->run.demoted++;
	pair_start_wait(p, p->why, now);
}

/* Whether the socket is closed: then it has left the map, and two scans have not found it. */
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

/* Frees the entry of a closed pair. Otherwise takes the next step of its stage. */
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
 * LEAVING: to EMPTYING if the queues were empty at a scan, or if they were not empty for too long
 * although the readers read. Then waits until redirects that began before have ended: one wait for
 * all pairs. A pair with a reader that splices needs a wait at each scan, because it goes on redirecting behind the unread bytes
 * (must_queue_up() in skmsg/verdict.h).
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

/* Counts the pair under its new stage: the time until the next scan depends on these numbers. */
static void count_pair(struct supervisor *s, const struct shunt_pair *p, __u64 now)
{
	s->used += p->stage != STAGE_FREE;
	s->watched += p->stage == STAGE_WATCHED;
	s->active += p->stage == STAGE_ACTIVE;
	s->in_transition += p->stage == STAGE_JOINING || p->stage == STAGE_LEAVING ||
			    p->stage == STAGE_EMPTYING;
	s->stuck += pair_is_stuck(p, now);
}

void step_pairs(struct supervisor *s, __u64 now)
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
