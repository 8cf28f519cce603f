/* SPDX-License-Identifier: GPL-2.0-only */
/* Steering: flows, fragments, listeners. */
#ifndef SHUNT_ABI_STEER_H
#define SHUNT_ABI_STEER_H

#include <linux/types.h>

#define SHUNT_FLOW_WORDS 10 /* of 4 bytes, in what names a flow beside the family */

/* What shunt_test is asked, in cb[1] of its packet. */
enum shunt_question {
	ASK_RULE = 0,       /* the unit of the rule for the packet, 0: none */
	ASK_LISTENER,       /* does somebody listen at its destination: shunt_answer */
	ASK_OWN,            /* is it for a service of this host: 1, 0 */
};

enum shunt_answer {
	LISTENER_NONE = 0,
	LISTENER_OPAQUE,    /* without IP_TRANSPARENT */
	LISTENER_THERE,
};

/* UDP flows given to a listener, if load is not told otherwise. */
#define SHUNT_UDP_IDLE 60 /* ticks after which a UDP flow is a new one */

/* CLOCK_MONOTONIC in ticks of 1.07 seconds: no division in a program. */
#define SHUNT_TICKS(ns) ((__u32)((ns) >> 30))

struct shunt_flow {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u32 family;
	__u32 ifindex;
};

_Static_assert(sizeof(struct shunt_flow) == 44, "shunt_flow");

/* A flow, told by a keyed hash, and its listener. A reader may meet an entry that is
 * being written: check is the flow's hash and a sum of the entry's words. */
struct shunt_udp_flow {
	__u64 check;
	__u32 counters;        /* of the rule, as in shunt_rule */
	__u32 generation;        /* of that tally: a rule that is gone has no flows */
	__u8 to[16];
	__u16 to_port;      /* 0: a service of this host has the flow, while it listens */
	__u16 tag;          /* of the flow's hash; 0: free */
	__u32 last_used;        /* tick */
};

_Static_assert(sizeof(struct shunt_udp_flow) == 40, "shunt_udp_flow");

/* shunt_udp_flows[part of the flow's hash], two cache lines. With a flow to each on
 * average, one of fifty has more than there is room for. */
#define SHUNT_UDP_BUCKET_FLOWS 3

struct shunt_udp_bucket {
	struct shunt_udp_flow flow[SHUNT_UDP_BUCKET_FLOWS];
	__u64 pad;
};

_Static_assert(sizeof(struct shunt_udp_bucket) == 128, "shunt_udp_bucket");

/* TCP connections that were steered, at shunt_steered[part of the flow's hash]: the upper
 * 48 bits of the hash, and when the connection began; 0: free. A bucket is a cache line. */
#define SHUNT_STEERED_BUCKET_FLOWS 8
#define SHUNT_STEERED_BUCKETS 32768
#define SHUNT_STEERED_TICKS 64 /* a unit of that time, of which there are 65536 */

struct shunt_steered {
	__u64 entry[SHUNT_STEERED_BUCKET_FLOWS];
};

_Static_assert(sizeof(struct shunt_steered) == 64, "shunt_steered");

/* TCP flows without a socket that were let pass: as above, with the tick. */
#define SHUNT_LET_PASS 1024
#define SHUNT_LET_PASS_TICKS 4 /* after which a flow is judged again */

struct shunt_let_pass {
	__u64 flow[SHUNT_LET_PASS];
};

/* Fragmented UDP. */
#define SHUNT_FRAGMENTS 4096    /* datagrams kept in mind */
#define SHUNT_FRAGMENT_IDLE 30  /* ticks; the kernel waits as long for the rest */
#define SHUNT_LISTENERS 4096

/* Why listeners are to be gathered. */
enum shunt_collecting {
	COLLECT_NOT = 0,
	COLLECT_WANTED,      /* a datagram found its listener not at hand */
	COLLECT_BOUND,       /* a listener has come: at once */
};

struct shunt_fragment {
	__u8 src[16];
	__u8 dst[16];
	__u32 id;           /* as it stands in the header */
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

struct shunt_reassembled {
	struct shunt_listener listener;
	__u32 tick;         /* of the first fragment */
	__u32 counters;        /* of the rule, and its generation, as in struct shunt_udp_flow */
	__u32 generation;
};

_Static_assert(sizeof(struct shunt_reassembled) == 32, "shunt_reassembled");

#endif
