/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stages of a pair under 'proven' admission, as functions of its entry and of the time.
 * These functions read no map and run no program. pair_steps.h lists all steps from stage to
 * stage.
 *
 *   enters when …              stage     what happens
 *   the pair is busy           WATCHED   the receive calls of both ends are watched
 *   both readers are clean     JOINING   each end enters the map when it has nothing unread
 *   both ends are in           ACTIVE    messages are redirected
 *   there is a reason          LEAVING   redirects only what follows redirected unread bytes
 *   queues empty, or too long  EMPTYING  no new redirects (*); each end leaves once it is empty
 *   both ends are out          WAITING   TCP; the wait grows, but shrinks after long ACTIVE
 *
 * (*) But a message behind unread bytes of a reader that splices: must_queue_up() in
 * skmsg/verdict.h.
 */
#ifndef SHUNT_PAIR_STAGES_H
#define SHUNT_PAIR_STAGES_H

#include <stdbool.h>

#include <shunt/abi.h>

/* How long a pair waits after a splice: the reader is expected to splice again. */
#define SPLICE_BACKOFF_MS 600000

void pair_set_stage(struct shunt_pair *p, enum shunt_stage stage, __u64 now_ns);

/* To WATCHED. If the last watch ended only because too few receive calls were seen, the clean
 * calls counted so far are kept, except the last 16: those have to be seen again. */
void pair_start_watch(struct shunt_pair *p, __u64 now_ns);

/* The next wait, in ms: four times the last one, or a quarter of it if the pair was ACTIVE
 * for longer than it had waited before. */
__u32 pair_next_backoff(__u32 last_ms, __u64 active_ms);

/* To WAITING. */
void pair_start_wait(struct shunt_pair *p, enum shunt_why why, __u64 now_ns);

/* WATCHED: the result so far. */
enum watch_result {
	WATCH_GOES_ON,
	WATCH_CLEAN,  /* both readers may be bypassed */
	WATCH_OVER,   /* too few receive calls were seen in time */
	WATCH_STREAM, /* one end only sends, and the other one is never quiet */
};

enum watch_result pair_watch_result(const struct shunt_pair *p, __u64 now_ns);

/* JOINING: the step after a scan. fault is a reason that was found, or 0. True when the pair
 * became ACTIVE. */
bool pair_step_joining(struct shunt_pair *p, enum shunt_why fault, __u64 now_ns);

/* ACTIVE: records when the pair was last used, in case another pair needs its entry. */
void pair_note_use(struct shunt_pair *p, __u64 now_ns);

/* To LEAVING: the new entry of an eager pair. It does not wait until its queues are empty,
 * because the operator has declared its readers fit for both paths in turn. */
void pair_leave_eager(struct shunt_pair *p, enum shunt_why why, __u64 now_ns);

/* LEAVING: the step after a scan. */
void pair_step_leaving(struct shunt_pair *p, __u64 now_ns);

/* LEAVING: whether the pair may go to EMPTYING, because its queues were empty at a scan, or
 * were not for too long. */
bool pair_may_empty(const struct shunt_pair *p, __u64 now_ns);

/* To EMPTYING. Redirects that began before may go on until all running programs have ended. */
void pair_start_emptying(struct shunt_pair *p, __u64 now_ns);
bool pair_awaits_programs(const struct shunt_pair *p);

/* EMPTYING: those programs have ended. With an error that is not known, and the pair goes back
 * to LEAVING. */
void pair_programs_ended(struct shunt_pair *p, int error, __u64 now_ns);

/* Whether a reader of the pair splices. */
bool pair_splices(const struct shunt_pair *p);

/* Whether the pair has been waiting for a reader for long. Scans need not hurry for it. */
bool pair_is_stuck(const struct shunt_pair *p, __u64 now_ns);

#endif
