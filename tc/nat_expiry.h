/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: how idle flows end. All flows stand in one queue. While there are flows, a timer
 * examines a part of the queue ten times a second and ends the flows that have been idle for
 * too long. (With a timer for each flow, the kernel would need memory at moments when it may
 * have none.)
 */
#ifndef SHUNT_NAT_EXPIRY_H
#define SHUNT_NAT_EXPIRY_H

#include "nat_room.h"

#define SWEEP_NS (SECOND / 10)
#define SWEEP_MAX 2048 /* flows that one run of the timer examines */

/* Takes one flow from the queue, and ends the flow or puts it back. */
static long sweep_one(__u32 i, void *data)
{
	struct shunt_nat_sweep *sweep = *(struct shunt_nat_sweep **)data;
	struct shunt_nat_flow *orig;
	struct shunt_nat_expiry_entry entry;

	(void)i;
	if (bpf_map_pop_elem(&shunt_nat_queue, &entry))
		return 1;
	orig = flow_get(&entry.key);
	if (!orig || orig->id != entry.id || end_idle(&entry.key, orig) || !requeue(&entry, orig))
		__sync_fetch_and_add(&sweep->flows, -1);
	return 0;
}

/* The timer's callback. Examines a tenth of the flows, and starts the timer again. */
static int sweep_due(void *map, __u32 *key, struct shunt_nat_sweep *sweep)
{
	__u32 n = sweep->flows / 10 + 16;

	(void)map;
	(void)key;
	bpf_loop(n < SWEEP_MAX ? n : SWEEP_MAX, sweep_one, &sweep, 0);
	/* Without flows the timer ends. sweep->flows is read again after 'running' is cleared: a
	 * flow that is made later finds 'running' cleared, and starts the timer itself. */
	if (!sweep->flows && __sync_lock_test_and_set(&sweep->running, 0) && !sweep->flows)
		return 0;
	sweep->running = 1;
	bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return 0;
}

/* Puts a new flow in the queue. Returns false if the queue is full. */
static __noinline bool enqueue(const struct shunt_nat_key *key, __u16 id)
{
	struct shunt_nat_sweep *sweep = sweep_get();
	struct shunt_nat_expiry_entry entry = { .key = *key, .id = id };

	if (!sweep || bpf_map_push_elem(&shunt_nat_queue, &entry, 0))
		return false;
	__sync_fetch_and_add(&sweep->flows, 1);
	if (!sweep->running && !__sync_lock_test_and_set(&sweep->running, 1))
		bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return true;
}

#endif
