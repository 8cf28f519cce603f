/* SPDX-License-Identifier: GPL-2.0-only */
/* The flows that the monitor counts. */
#ifndef SHUNT_ABI_MONITOR_H
#define SHUNT_ABI_MONITOR_H

#include <linux/types.h>

/*
 * The counters form a set-associative table, as in a CPU's cache. Each CPU has SHUNT_BUCKETS
 * buckets of its own in shunt_buckets[]; a flow's hash gives its bucket. Each bucket has
 * SHUNT_WAYS ways in shunt_ways[]; a way counts one flow. The table of one CPU takes half a
 * MiB, so that it fits into the CPU's cache.
 */
#define SHUNT_BUCKETS 1024
#define SHUNT_WAYS 7

enum shunt_direction { SHUNT_IN = 1, SHUNT_OUT };

struct shunt_flow_counter {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport; /* 0: no port, or a later fragment */
	__u16 dport; /* not IP: the link layer's protocol number */
	__u32 ifindex;
	__u8 family;    /* AF_INET, AF_INET6, 0 if not IP */
	__u8 proto;     /* IPPROTO_TCP … */
	__u8 direction; /* enum shunt_direction */
	__u8 pad;
	/* The fields above are the flow's key. */
	__u32 last; /* tick of the last packet */
	__u64 packets;
	__u64 bytes;
};

_Static_assert(sizeof(struct shunt_flow_counter) == 64, "shunt_ways");

#define SHUNT_FLOW_KEY_WORDS 11 /* the key's size in words of 4 bytes */

struct shunt_bucket {
	__u32 tag[SHUNT_WAYS]; /* of the flow's hash; 0: the way is free */
	__u32 epoch;           /* of the last packet; an epoch is four ticks */
	__u16 heat[SHUNT_WAYS];
	__u16 steered;        /* a bit for each way */
	__u64 missed_packets; /* packets that no way has counted */
	__u64 missed_bytes;
};

_Static_assert(sizeof(struct shunt_bucket) == 64, "shunt_bucket");

/* Settings: shunt_monitor[0]. */
struct shunt_monitor {
	__u64 keys[SHUNT_FLOW_KEY_WORDS + 1]; /* secret keys of the hash */
	__u32 mark;                           /* fwmark bits of steered packets */
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_monitor) == 104, "shunt_monitor");

#endif
