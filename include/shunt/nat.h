/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: rules, the hash table of rules, flows. */
#ifndef SHUNT_ABI_NAT_H
#define SHUNT_ABI_NAT_H

#include <linux/types.h>

/*
 * A rule's port range is cut into aligned blocks of 2^n ports. So a hash table,
 * shunt_nat_match, finds the rule by the first bits of address and port. A shape is a pair
 * of bit numbers that some entry has (tuple space search). Programs try the shapes in turn;
 * the one whose rules take precedence comes first. The targets of the rules are entries of
 * the same table, so programs also find packets whose own destination is a target.
 */
#define SHUNT_NAT_RULES 16384
#define SHUNT_NAT_MATCHES 65536
#define SHUNT_NAT_SHAPES 1024

struct shunt_nat_rule {
	__u8 used;
	__u8 family;  /* AF_INET, AF_INET6 */
	__u8 proto;   /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 dst_len; /* prefix length, in bits */
	__u8 to_len;  /* dst_len: the bits behind the prefix stay; else a single address */
	__u8 pad;
	__u16 dport_low;
	__u16 dport_high;
	__u16 to_low;  /* 0: the port is kept */
	__u16 to_high; /* to_low, or a range as wide as dport's */
	__u16 pad2;
	__u32 ifindex; /* by which the target was reached when the rule was added */
	__u8 dst[16];
	__u8 to[16];
	__u64 flows;
	__u64 refused; /* new flows for which there was no room */
};

_Static_assert(sizeof(struct shunt_nat_rule) == 72, "shunt_nat_rule");

struct shunt_nat_match {
	__u8 dst[16];
	__u16 port; /* first port of the block */
	__u8 family;
	__u8 proto;
	__u8 dst_len;
	__u8 port_len;  /* in bits; 16 for a single port */
	__u8 is_target; /* 1: a rule's target, 0: a rule's destination */
	__u8 pad;
};

_Static_assert(sizeof(struct shunt_nat_match) == 24, "shunt_nat_match");

struct shunt_nat_target {
	__u8 to[16];
	__u32 rule;    /* index into shunt_nat_rules */
	__u32 ifindex; /* as in struct shunt_nat_rule */
	__u16 dport_low;
	__u16 to_low;
	__u8 to_len;     /* this number of bits comes from 'to', the rest from the destination */
	__u8 one_to_one; /* 1: port dport_low + n becomes to_low + n; 0: all become to_low */
	__u8 pad[2];
};

_Static_assert(sizeof(struct shunt_nat_target) == 32, "shunt_nat_target");

/* shunt_nat_shapes[] holds two lists of shapes for each of these groups. shunt_nat.current[]
 * is the index of the list in force. */
enum shunt_nat_group { NAT_DST4, NAT_DST6, NAT_TARGET4, NAT_TARGET6, NAT_GROUPS };

struct shunt_nat_shapes {
	__u32 count;
	__u32 pad;
	struct {
		__u8 dst_len;
		__u8 port_len;
	} shape[SHUNT_NAT_SHAPES];
};

_Static_assert(sizeof(struct shunt_nat_shapes) == 2056, "shunt_nat_shapes");

/* shunt_nat_ports[0] for TCP, [1] for UDP: a bit for each port that rules or their targets
 * have, or had lately. Packets for other ports need no search. */
struct shunt_nat_ports {
	__u64 bits[65536 / 64];
};

/* The state of a flow decides how long the flow may be idle. */
enum shunt_nat_idle {
	NAT_OPENING = 0, /* no reply yet */
	NAT_TCP,
	NAT_CLOSING, /* one end has closed */
	NAT_CLOSED,  /* both ends have closed, or one has reset */
	NAT_UDP,
	NAT_IDLES,
};

/* Settings and state: shunt_nat[0]. */
struct shunt_nat {
	__u64 idle_ns[NAT_IDLES];  /* time without packets after which a flow ends */
	__u32 current[NAT_GROUPS]; /* shapes in force: index into shunt_nat_shapes */
	__u32 generation;          /* of the rules; each change adds 1 */
	__u32 rules;               /* used part of shunt_nat_rules; it may contain free entries */
	__u32 changing;            /* 1: a command changes the rules, or was killed meanwhile */
	__u32 flows;               /* size of the table of flows, in flows */
};

_Static_assert(sizeof(struct shunt_nat) == 72, "shunt_nat");

/* A flow has two entries in shunt_nat_flows, as in conntrack: one for packets in the original
 * direction and one for replies. The key is the packet's before translation. Fragments of
 * datagrams have keys in shunt_nat_fragments. */
enum shunt_nat_direction {
	NAT_DIR_ORIGINAL = 1,
	NAT_DIR_REPLY,
	NAT_DIR_EGRESS_FRAGMENT,
	NAT_DIR_INGRESS_FRAGMENT,
};

/* What is done with a translated packet so that it gets to the target. */
enum shunt_nat_forward_action {
	NAT_PASS = 0,     /* goes on as it is: routing has chosen the right next hop */
	NAT_MAC,          /* gets the next hop's link layer address, which is known */
	NAT_NEIGHBOR,     /* the kernel sends it, and resolves the next hop */
	NAT_LOCAL,        /* goes to this host, by lo */
	NAT_UNROUTED,     /* dropped: there is no route */
	NAT_UNTRANSLATED, /* passes unchanged; the flow only reserves the source port */
};

struct shunt_nat_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u8 direction; /* enum shunt_nat_direction */
	__u8 pad;
};

_Static_assert(sizeof(struct shunt_nat_key) == 40, "shunt_nat_key");

struct shunt_nat_flow {
	struct shunt_nat_key other; /* the flow's other entry */
	__u64 last_packet_ns;       /* last packet in this direction; coarse CLOCK_MONOTONIC */
	__u64 route_ns;             /* orig: the route below holds until then; ~0: for ever */
	__u64 packets;
	__u64 bytes;
	__u32 rule;
	__u32 ifindex; /* by which the flow's packets would leave without NAT */
	__u32 oif;     /* orig: by which they leave; reply: by which replies should come */
	union {
		__u32 fallback_oif; /* orig: used if programs can't look up routes */
		__u32 generation;   /* untranslated: of the rules at the last look-up */
	};
	__u8 forward_action; /* enum shunt_nat_forward_action; reply: 0 or NAT_UNTRANSLATED */
	__u8 tcp_flags;      /* of all packets in this direction within the window */
	__u8 last_flags;     /* of the last packet */
	__u8 raw;            /* 1: ifindex has no link layer header */
	__u8 orig_mac[6];    /* link layer address of ifindex */
	__u8 macs[12];       /* orig: of the next hop, of oif; reply: of oif */
	__u16 id;            /* random: tells apart flows of equal keys */
	/* TCP (tc/nat_tcp.h): sequence numbers in this direction */
	__u32 seq_end; /* behind the last byte */
	__u32 ack;     /* highest acknowledgment in packets of this direction */
	__u32 syn;     /* behind the last SYN */
	__u32 fin;     /* behind a FIN that came before lost packets; 0: none */
	__u32 source;  /* orig: index into shunt_nat_sources */
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_nat_flow) == 136, "shunt_nat_flow");

#endif
