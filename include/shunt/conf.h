/* SPDX-License-Identifier: GPL-2.0-only */
/* The settings, and what is noted while shunt is loaded: shunt_conf. */
#ifndef SHUNT_ABI_CONF_H
#define SHUNT_ABI_CONF_H

#include <linux/types.h>

#include <shunt/steer.h>

/* Families that have shunt's rule and route. */
#define SHUNT_ROUTED_V4 1
#define SHUNT_ROUTED_V6 2

/* What programs and commands note while shunt is loaded. */
struct shunt_runtime {
	__u64 repair_ns;    /* when a member was last put into repair mode: CLOCK_MONOTONIC */
	__u64 beat_ns;      /* last heartbeat of the supervisor: CLOCK_MONOTONIC; 0: it ended */
	__u64 promoted;     /* pairs that the supervisor put on the fast path */
	__u64 demoted;      /* pairs that it took off the fast path while they were open */
	__u64 reclaimed;    /* entries of shunt_pairs taken from idle pairs for others */
	__u64 no_entry;     /* times that a busy pair found no entry of shunt_pairs */
	__u32 loaded;       /* set last by load, cleared first by unload */
	__u32 drain_mode;   /* enum shunt_drain_mode */
	__u32 trace;        /* write lines to trace_pipe */
	__u32 scan_seq;     /* number of the supervisor's scan of the paired sockets */
	__u32 assign_slots; /* this scan only tells sockets their entries of shunt_pairs */
	__u32 supervisor_asleep; /* the next new pair has to wake it */
	__u32 scan_sockets;      /* paired sockets found by this scan */
	__u32 watching;          /* a pair is WATCHED: its client's socket needs its storage */
	__u32 pair_entries;      /* entries of shunt_pairs in use */
	__u32 pair_table_full;   /* in the last seconds a busy pair found no entry */
	__u32 wakeups_pending;   /* a socket's wakeup is set: shunt_wakeup has to run */
	__u32 splicer_seq;       /* incremented when a process begins to splice */
	__u32 local;             /* there are, or were, rules with 'origin local' */
	__u32 accept_local; /* shunt switched lo's accept_local on: see loader/attach/loopback.c */
	__u32 nat;          /* NAT asks for routes */
	__u32 forwarding;   /* shunt switched lo's forwarding on: see the same file */
	__u32 listeners_wanted; /* enum shunt_collecting: shunt_collect_listeners is to run */
	__u32 routed;           /* what delivers marked packets: SHUNT_ROUTED_V4, _V6 */
	__u32 syncookie_tick;   /* when a listener may last have sent a SYN cookie; 0: never */
	__u32 routers;          /* shunt_senders knows a cgroup in which a router runs */
};

/* Settings, which load writes and every program reads: shunt_conf[0]. */
struct shunt_conf {
	__u32 abi;           /* SHUNT_ABI */
	__u32 max_msgs;      /* queued in one direction */
	__u64 max_bytes;     /* queued in one direction */
	__u64 max_pages;     /* of TCP memory in use on this host: above, TCP is used */
	__u64 netns;         /* cookie of load's network namespace: no other ever has it */
	__u64 netns_inode;   /* its inode number, which finds it; may be reused later */
	__u64 router_cgroup; /* id of the router's cgroup, which is in shunt_router; 0: unknown */
	__u32 host_msgs;     /* queued on this host */
	__u32 mark;          /* the bit set in skb->mark of a steered packet */
	__u32 table;         /* routing table that delivers marked packets */
	__u32 recv_flags_reported; /* this kernel reports the flags of receive calls */
	__u32 excludes;            /* entries of shunt_exclude */
	__u32 fionread_faulty;     /* this kernel answers FIONREAD wrongly for members */
	__u32 max_rules;
	__u32 shards;           /* of a rule's counters: a power of two, at most SHUNT_SHARDS */
	__u32 counters_shared;  /* there are more CPUs than shards */
	__u32 router_mark;      /* bits in the mark of what the router sends; 0: unknown */
	__u32 flow_buckets;     /* of shunt_udp_flows: a power of two */
	__u32 local_mark;       /* mark and one more bit, both set if this host sent the packet */
	__u32 preference;       /* of the first routing rule: see loader/attach/mark_rules.h */
	__u32 reassembled_tick; /* when a fragmented datagram last got a listener */
	__u64 flow_keys[2][SHUNT_FLOW_WORDS + 2]; /* secret: no flow can pose as another */
	struct shunt_runtime run __attribute__((aligned(64))); /* in cache lines of its own */
};

_Static_assert(sizeof(struct shunt_conf) % 64 == 0, "shunt_conf");

#endif
