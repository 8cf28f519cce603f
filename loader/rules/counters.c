// SPDX-License-Identifier: GPL-2.0-only
#include "rules/counters.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

#define FIRST_COUNTERS 1024

static struct mmap_array array = { .fd = -1 };
static __u32 shards;

__u32 ticks_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return SHUNT_TICKS((__u64)t.tv_sec * 1000000000 + t.tv_nsec);
}

int counters_make(int outer, __u32 shard_count)
{
	_cleanup_fd_ int inner = inner_create("shunt_rule_counters",
					      sizeof(struct shunt_rule_counters),
					      FIRST_COUNTERS * shard_count);

	return inner < 0 ? inner : inner_install(outer, inner);
}

int counters_open(__u32 shard_count)
{
	int fd = inner_pinned("shunt_rule_counters");

	shards = shard_count;
	mmap_array_close(&array);
	return fd < 0 ? fd : mmap_array_open(&array, fd);
}

void counters_close(void)
{
	mmap_array_close(&array);
}

static __u32 room(void)
{
	return array.entries / shards;
}

static struct shunt_rule_counters *shard_at(__u32 counters, __u32 shard)
{
	size_t size = sizeof(struct shunt_rule_counters);

	return mmap_array_at(&array, ((size_t)counters * shards + shard) * size, size);
}

/* Adds what programs have counted in the old shard since it was copied. */
static void add_late(struct shunt_rule_counters *to, const struct shunt_rule_counters *now,
		     const struct shunt_rule_counters *copied)
{
	__atomic_fetch_add(&to->packets, now->packets - copied->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->bytes, now->bytes - copied->bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->flows, now->flows - copied->flows, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->misses, now->misses - copied->misses, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->own_services, now->own_services - copied->own_services,
			   __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->resets, now->resets - copied->resets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&to->loops, now->loops - copied->loops, __ATOMIC_RELAXED);
}

/* Replaces the array by one with room for at least this many counters. Programs count on in the
 * old array until the new one is in place; add_late() adds what they count meanwhile. */
static int grow(__u32 count)
{
	_cleanup_fd_ int outer = pin_open(HALF_STEER, "maps", "shunt_rule_counters");
	_cleanup_free_ struct shunt_rule_counters *copy = NULL;
	struct shunt_rule_counters *from, *to;
	struct mmap_array larger;
	size_t i, all = (size_t)room() * shards;
	int fd, error;

	if (outer < 0)
		return fail(outer, "can't open the counters in '%s'", opt.pin_dir);
	count += count / 4;
	fd = inner_create("shunt_rule_counters", sizeof(*to), count * shards);
	if (fd < 0)
		return fd;
	error = mmap_array_open(&larger, fd);
	copy = malloc(all * sizeof(*copy));
	if (error || !copy)
		return fail(error ? error : -ENOMEM, "can't map the counters");
	from = mmap_array_at(&array, 0, all * sizeof(*from));
	to = mmap_array_at(&larger, 0, all * sizeof(*to));
	memcpy(copy, from, all * sizeof(*copy));
	memcpy(to, copy, all * sizeof(*copy));
	error = inner_install(outer, larger.fd);
	if (error) {
		mmap_array_close(&larger);
		return error;
	}
	for (i = 0; i < all; i++)
		add_late(&to[i], &from[i], &copy[i]);
	mmap_array_close(&array);
	array = larger;
	return 0;
}

static void set_generation(__u32 counters, bool in_use)
{
	struct shunt_rule_counters *shard;
	__u32 i, generation = shard_at(counters, 0)->generation;

	generation += (generation & 1) == in_use ? 2 : 1;
	for (i = 0; i < shards; i++) {
		shard = shard_at(counters, i);
		__atomic_store_n(&shard->generation, generation, __ATOMIC_RELEASE);
	}
}

static bool counters_in_use(__u32 counters)
{
	return shard_at(counters, 0)->generation & 1;
}

static void counters_begin(__u32 counters)
{
	struct shunt_rule_counters *shard;
	__u32 i;

	for (i = 0; i < shards; i++) {
		shard = shard_at(counters, i);
		shard->packets = shard->bytes = shard->flows = shard->misses = shard->own_services =
			0;
		shard->loops = shard->resets = 0;
		shard->last_hit = ticks_now();
		shard->last_miss = 0;
	}
	set_generation(counters, true);
}

__u32 *free_counters_at(struct store *s, __u32 i)
{
	__u32 *unit = store_at(s, s->journal->free_counters + i / 16, 1);

	return unit + i % 16;
}

int counters_take(struct store *s, __u32 *ret)
{
	int error;

	if (s->journal->free_count) {
		*ret = *free_counters_at(s, s->journal->free_count - 1);
		s->journal->free_count--;
	} else {
		if (s->journal->counters_top == room()) {
			error = grow(room() * 2);
			if (error)
				return error;
		}
		*ret = s->journal->counters_top++;
	}
	counters_begin(*ret);
	return 0;
}

void counters_end(__u32 counters)
{
	if (counters_in_use(counters))
		set_generation(counters, false);
}

/* If the stack is full, the counters are lost until the next rebuild, which lists all counters
 * without a rule as free. */
void counters_free(struct store *s, __u32 counters)
{
	struct shunt_store_journal *j = s->journal;

	if (!counters_in_use(counters))
		return;
	counters_end(counters);
	if (j->free_count < j->free_room) {
		*free_counters_at(s, j->free_count) = counters;
		j->free_count++;
	}
}

void counters_set_last_hit(__u32 counters)
{
	__atomic_store_n(&shard_at(counters, 0)->last_hit, ticks_now(), __ATOMIC_RELAXED);
}

void counters_read(__u32 counters, struct rule_counts *ret)
{
	struct rule_counts c = {};
	const struct shunt_rule_counters *shard;
	__u32 i;

	for (i = 0; i < shards; i++) {
		shard = shard_at(counters, i);
		c.packets += shard->packets;
		c.bytes += shard->bytes;
		c.flows += shard->flows;
		c.misses += shard->misses;
		c.own_services += shard->own_services;
		c.loops += shard->loops;
		c.resets += shard->resets;
		c.last_hit = shard->last_hit > c.last_hit ? shard->last_hit : c.last_hit;
		c.last_miss = shard->last_miss > c.last_miss ? shard->last_miss : c.last_miss;
	}
	*ret = c;
}
