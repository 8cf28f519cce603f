/* SPDX-License-Identifier: GPL-2.0-only */
/* Steering: flows, fragments, listeners. */
#ifndef SHUNT_ABI_STEER_H
#define SHUNT_ABI_STEER_H

#include <linux/types.h>

#define SHUNT_FLOW_WORDS 10 /* words of 4 bytes that a flow's hash covers, beside the family */

/* What the program shunt_test is to find out, in cb[1] of its packet. */
enum shunt_question {
	ASK_RULE = 0, /* returns the unit of the rule for the packet, 0: none */
	ASK_LISTENER, /* returns enum shunt_answer: what listens at the packet's destination */
	ASK_OWN,      /* returns 1 if the packet is for a service of this host, else 0 */
};

enum shunt_answer {
	LISTENER_NONE = 0,
	LISTENER_OPAQUE, /* without IP_TRANSPARENT */
	LISTENER_THERE,
};

#define SHUNT_UDP_IDLE 60 /* ticks without a packet after which a UDP flow is new again */

/* CLOCK_MONOTONIC in ticks of 1.07 seconds, which need no division. */
#define SHUNT_TICKS(ns) ((__u32)((ns) >> 30))

/* A flow: the key of shunt_datagrams and shunt_local_tcp. */
struct shunt_flow {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u32 family;
	__u32 ifindex;
};

_Static_assert(sizeof(struct shunt_flow) == 44, "shunt_flow");

/* A UDP flow, recognised by a keyed hash, and its listener. Entries have no lock: check is
 * the flow's hash and a sum of the entry's words, so that a reader notices an entry that is
 * being written. */
struct shunt_udp_flow {
	__u64 check;
	__u32 counters;   /* of the rule, as in struct shunt_rule */
	__u32 generation; /* of these counters: the flow ends with its rule */
	__u8 to[16];
	__u16 to_port;   /* 0: the flow belongs to a service of this host, while that listens */
	__u16 tag;       /* part of the flow's hash; 0: free */
	__u32 last_used; /* tick */
};

_Static_assert(sizeof(struct shunt_udp_flow) == 40, "shunt_udp_flow");

/* The flows at shunt_udp_flows[part of the flow's hash], two cache lines. With one flow to
 * a bucket on average, one bucket in fifty has more flows than room. */
#define SHUNT_UDP_BUCKET_FLOWS 3

struct shunt_udp_bucket {
	struct shunt_udp_flow flow[SHUNT_UDP_BUCKET_FLOWS];
	__u64 pad;
};

_Static_assert(sizeof(struct shunt_udp_bucket) == 128, "shunt_udp_bucket");

/* TCP connections that were steered, at shunt_steered[part of the flow's hash]. An entry
 * has the upper 48 bits of the hash and the time when the connection began; 0: free. A
 * bucket is a cache line. */
#define SHUNT_STEERED_BUCKET_FLOWS 8
#define SHUNT_STEERED_BUCKETS 32768
#define SHUNT_STEERED_TICKS 64 /* the unit of that time, which has 16 bits */

struct shunt_steered {
	__u64 entry[SHUNT_STEERED_BUCKET_FLOWS];
};

_Static_assert(sizeof(struct shunt_steered) == 64, "shunt_steered");

/* TCP flows without a socket that were let pass: entries as above, with the tick as time. */
#define SHUNT_LET_PASS 1024
#define SHUNT_LET_PASS_TICKS 4 /* after which a flow is examined again */

struct shunt_let_pass {
	__u64 entry[SHUNT_LET_PASS];
};

/* Fragmented UDP. */
#define SHUNT_FRAGMENTS 4096   /* datagrams that are remembered */
#define SHUNT_FRAGMENT_IDLE 30 /* ticks for which the kernel waits for the other fragments */
#define SHUNT_LISTENERS 4096

/* Why listeners are to be put into shunt_listeners. */
enum shunt_collecting {
	COLLECT_NOT = 0,
	COLLECT_WANTED, /* a datagram's listener was not there */
	COLLECT_BOUND,  /* a wanted listener was bound: collect at once */
};

struct shunt_fragment {
	__u8 src[16];
	__u8 dst[16];
	__u32 id; /* in network byte order */
	__u16 family;
	__u16 pad;
};

_Static_assert(sizeof(struct shunt_fragment) == 40, "shunt_fragment");

/* The address that a UDP socket is bound to. */
struct shunt_listener {
	__u8 addr[16];
	__u16 port;
	__u16 family;
};

_Static_assert(sizeof(struct shunt_listener) == 20, "shunt_listener");

/* The listener of a datagram that came in fragments. */
struct shunt_reassembled {
	struct shunt_listener listener;
	__u32 tick;     /* when the first fragment came */
	__u32 counters; /* of the rule, and their generation, as in struct shunt_udp_flow */
	__u32 generation;
};

_Static_assert(sizeof(struct shunt_reassembled) == 32, "shunt_reassembled");

#endif
