/* SPDX-License-Identifier: GPL-2.0-only */
/* Clocks in nanoseconds. */
#ifndef SHUNT_CLOCK_H
#define SHUNT_CLOCK_H

#include <time.h>

#include <linux/types.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_SEC 1000000000ULL

static inline __u64 clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* The time since boot, without suspend. */
static inline __u64 monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
