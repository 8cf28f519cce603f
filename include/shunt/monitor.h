/* SPDX-License-Identifier: GPL-2.0-only */
/* The flows that the monitor counts. */
#ifndef SHUNT_ABI_MONITOR_H
#define SHUNT_ABI_MONITOR_H

#include <linux/types.h>

/*
 * What the monitor has seen. A flow belongs to one bucket of each CPU that met
 * it: shunt_buckets[], SHUNT_BUCKETS for each CPU in turn. It has at most one way
 * there: shunt_ways[], SHUNT_WAYS for each bucket in turn. With half a MiB a
 * CPU's share fits in its cache.
 */
#define SHUNT_BUCKETS 1024
#define SHUNT_WAYS 7

enum shunt_direction { SHUNT_IN = 1, SHUNT_OUT };

struct shunt_flow_counter {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;       /* 0: none, or in another fragment */
	__u16 dport;       /* not IP: the protocol of the link layer */
	__u32 ifindex;
	__u8 family;       /* AF_INET, AF_INET6, 0 if not IP */
	__u8 proto;        /* IPPROTO_TCP … */
	__u8 direction;    /* enum shunt_direction */
	__u8 pad;
	/* up to here it is the flow's key */
	__u32 last;        /* tick of its last packet */
	__u64 packets;
	__u64 bytes;
};

_Static_assert(sizeof(struct shunt_flow_counter) == 64, "shunt_ways");

#define SHUNT_FLOW_KEY_WORDS 11 /* of 4 bytes, in the key */

struct shunt_bucket {
	__u32 tag[SHUNT_WAYS];  /* of the hash; 0: free */
	__u32 epoch;            /* four ticks, of the last packet */
	__u16 heat[SHUNT_WAYS];
	__u16 steered;          /* a bit for each way */
	__u64 missed_packets;   /* that are in none of the ways */
	__u64 missed_bytes;
};

_Static_assert(sizeof(struct shunt_bucket) == 64, "shunt_bucket");

/* What the monitor goes by: shunt_monitor[0]. */
struct shunt_monitor {
	__u64 keys[SHUNT_FLOW_KEY_WORDS + 1]; /* of the hash, random */
	__u32 mark;        /* the bits set in skb->mark of a steered packet */
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_monitor) == 104, "shunt_monitor");

#endif
