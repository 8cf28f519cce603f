/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stages of a pair under 'proven' admission, as functions of its entry and of the
 * time. No map is read and no program run here.
 *
 *   busy        WATCHED   the receive calls of both ends are observed
 *   clean       JOINING   waits for a moment with nothing unread
 *   both in     ACTIVE    until a verdict or an observer finds a reason
 *   reason      LEAVING   redirects only behind others that wait to be read
 *               EMPTYING  none; each end leaves the map once its queue is empty
 *   both out    WAITING   plain TCP; the time grows, and shrinks after good service
 */
#ifndef SHUNT_PAIR_STAGES_H
#define SHUNT_PAIR_STAGES_H

#include <stdbool.h>

#include <shunt/abi.h>

/* A reader that splices will do it again. */
#define SPLICE_BACKOFF_MS 600000

void pair_set_stage(struct shunt_pair *p, enum shunt_stage stage, __u64 now_ns);

/* To WATCHED. If the last watch ended because too few receive calls were seen, the clean
 * ones count on, but for the last ones, which have to be seen again. */
void pair_start_watch(struct shunt_pair *p, __u64 now_ns);

/* The next wait, in ms: four times the last one, or a fourth of it if the pair was on
 * the fast path for longer than it had waited. */
__u32 pair_next_backoff(__u32 last_ms, __u64 active_ms);

/* To WAITING. */
void pair_start_wait(struct shunt_pair *p, enum shunt_why why, __u64 now_ns);

/* WATCHED: what comes of the watch. */
enum watch_result { WATCH_GOES_ON, WATCH_CLEAN, WATCH_OVER, WATCH_STREAM };

enum watch_result pair_watch_result(const struct shunt_pair *p, __u64 now_ns);

/* JOINING, with the fault that was found, or 0. True when the pair became ACTIVE. */
bool pair_step_joining(struct shunt_pair *p, enum shunt_why fault, __u64 now_ns);

/* ACTIVE: notes when the pair was last used, in case others need its entry. */
void pair_note_use(struct shunt_pair *p, __u64 now_ns);

/* To LEAVING: a new entry of a pair that is vouched for. Its readers take what comes, so
 * it does not wait for a quiet moment. */
void pair_leave_eager(struct shunt_pair *p, enum shunt_why why, __u64 now_ns);

/* LEAVING, at each pass. */
void pair_step_leaving(struct shunt_pair *p, __u64 now_ns);

/* LEAVING: were the queues seen empty, or not for too long? */
bool pair_may_empty(const struct shunt_pair *p, __u64 now_ns);

/* To EMPTYING, from which the programs that began before have to be waited for. */
void pair_start_emptying(struct shunt_pair *p, __u64 now_ns);
bool pair_awaits_programs(const struct shunt_pair *p);

/* They ended; or, with an error, it is not known, and the pair goes back to LEAVING. */
void pair_programs_ended(struct shunt_pair *p, int error, __u64 now_ns);

/* Does an end splice? */
bool pair_splices(const struct shunt_pair *p);

/* Has it been waiting for a reader for long? */
bool pair_is_stuck(const struct shunt_pair *p, __u64 now_ns);

#endif
