/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of all halves: shunt_count. */
#ifndef SHUNT_ABI_COUNTERS_H
#define SHUNT_ABI_COUNTERS_H

#include <linux/types.h>

/* Counters, one copy per CPU: shunt_count[0]. */
struct shunt_count {
	__u64 redirected_bytes;
	__u64 redirected_msgs;
	__u64 passed_bytes; /* by members, through TCP */
	__u64 passed_msgs;
	__u64 promoted; /* pairs that have entered the map */
	__u64 demoted;  /* pairs that have left it while they were open */
	__u64 map_full; /* pairs left to TCP for want of room */
	__u64 steered_packets;
	__u64 steered_flows;
	__u64 no_listener;
	__u64 not_transparent; /* of those: the listener lacks IP_TRANSPARENT */
	__u64 reuseport;       /* it has SO_REUSEPORT, and the kernel is before 6.6 */
	__u64 fragments;
	__u64 steered_errors; /* ICMP errors about what a router has sent */
	__u64 malformed;
	__u64 nat_made; /* flows */
	__u64 nat_ended;
	__u64 nat_unanswered;   /* of the flows ended, those that nobody answered */
	__u64 nat_evicted;      /* of the flows ended, those that gave way to new ones */
	__u64 nat_untranslated; /* of the flows made, those whose own destination is a target */
	__u64 nat_packets;      /* rewritten, both ways */
	__u64 nat_refused;      /* packets of new flows dropped for want of room */
	__u64 nat_other_ports;  /* flows that got another source port */
	__u64 nat_errors;       /* ICMP errors rewritten */
	__u64 nat_fragments;    /* of flows, left alone: they came before the first one */
	__u64 nat_unroutable;   /* dropped: no route to the target */
	__u64 routers_own;      /* first packets that were not steered back to the router */
	__u64 loops;            /* of those: connections that had come back to the router */
	__u64 translated;       /* first packets of this host left alone: see tc/translated.h */
	__u64 own_services;     /* first packets that rules left to this host's own services */
	__u64 resets;           /* TCP segments of connections that a router has forgotten */
	__u64 probes;           /* packets of 'shunt steer test --deliver' given to its socket */
	__u64 sk_address;       /* no counter: see address_of() in tc/deliver.h */
};

/* What became of the packets of one 'shunt steer test --deliver': tc/probe.bpf.c. */
struct shunt_dropped {
	__u32 token;  /* their hash */
	__u32 count;  /* packets that were dropped */
	__u32 reason; /* of the last one: enum skb_drop_reason of the kernel */
	__u32 mark;   /* of the last one */
};

#endif
