/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The steps of pairs from stage to stage. The supervisor takes them after each scan.
 *
 *   from      to        when
 *   (none)    WATCHED   the pair is busy: its ends receive many segments
 *   WAITING   WATCHED   the wait is over, and the pair is busy again
 *   WATCHED   JOINING   64 receive calls of its readers were clean
 *   WATCHED   WAITING   a call was not clean, or the process splices, is excluded or uses a
 *                       faulty FIONREAD; one end only sends; one second brought no result
 *   JOINING   ACTIVE    both ends are in the map: a scan enters an end with nothing unread
 *   JOINING   WAITING   there is a fault, or 100 scans were not enough; no end is in the map
 *   JOINING   LEAVING   the same, with an end in the map; a program saw a fault; or the
 *                       supervisor stops
 *   ACTIVE    LEAVING   a program saw a fault, a stream, unread bytes or too many messages by
 *                       TCP; the process of a reader splices; another pair needs the entry; or
 *                       the supervisor stops
 *   (none)    LEAVING   an eager pair for which TCP is faster
 *   LEAVING   EMPTYING  both queues were empty at a scan, or were not for a second; after 20 ms
 *                       for a reader that splices
 *   EMPTYING  LEAVING   the wait for running programs has failed: redirects may go on
 *   EMPTYING  WAITING   both ends have left the map: a scan removes an end with an empty queue
 *   WAITING   (none)    another pair needs the entry
 *   any       (none)    both sockets are closed
 *
 * Only the steps to LEAVING may be taken by a program: pair_leave() in
 * include/shunt/bpf/maps.bpf.h. The steps to WATCHED, and those for another pair, follow from the
 * rows of a scan: see supervisor.c and pair_table.c. pair_stages.c has the times.
 */
#ifndef SHUNT_PAIR_STEPS_H
#define SHUNT_PAIR_STEPS_H

#include <linux/types.h>

#include "bypass/supervisor.h"

/* Takes the next step of each pair after a scan, and counts the pairs in each stage. */
void step_pairs(struct supervisor *s, __u64 now_ns);

#endif
