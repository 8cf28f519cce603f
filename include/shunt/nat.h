/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: rules, their hash, flows. */
#ifndef SHUNT_ABI_NAT_H
#define SHUNT_ABI_NAT_H

#include <linux/types.h>

/*
 * NAT. A rule's port range is cut into aligned blocks of ports, so that a hash
 * finds the rule by the first bits of address and port: shunt_nat_match. How
 * many bits, the shapes tell, the rule to be preferred first. In the same way
 * it finds whether a packet goes straight to some rule's target.
 */
#define SHUNT_NAT_RULES 16384
#define SHUNT_NAT_MATCHES 65536
#define SHUNT_NAT_SHAPES 1024

struct shunt_nat_rule {
	__u8 used;
	__u8 family;        /* AF_INET, AF_INET6 */
	__u8 proto;         /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 dst_len;       /* prefix length, in bits */
	__u8 to_len;        /* dst_len: the bits after it stay; else all are set */
	__u8 pad;
	__u16 dport_low;
	__u16 dport_high;
	__u16 to_low;       /* 0: the port stays */
	__u16 to_high;      /* to_low, or a range as wide as dport's */
	__u16 pad2;
	__u32 ifindex;      /* where the route to the target led at the last look */
	__u8 dst[16];
	__u8 to[16];
	__u64 flows;
	__u64 refused;      /* new flows that found no room */
};

_Static_assert(sizeof(struct shunt_nat_rule) == 72, "shunt_nat_rule");

struct shunt_nat_match {
	__u8 dst[16];
	__u16 port;         /* first of the block */
	__u8 family;
	__u8 proto;
	__u8 dst_len;
	__u8 port_len;      /* bits, 16 for a single port */
	__u8 is_target;     /* of a rule, else its destination */
	__u8 pad;
};

_Static_assert(sizeof(struct shunt_nat_match) == 24, "shunt_nat_match");

struct shunt_nat_target {
	__u8 to[16];
	__u32 rule;         /* in shunt_nat_rules */
	__u32 ifindex;      /* as in struct shunt_nat_rule */
	__u16 dport_low;
	__u16 to_low;
	__u8 keep;          /* the bits of the address before this are set */
	__u8 shift;         /* the port moves by to_low - dport_low */
	__u8 pad[2];
};

_Static_assert(sizeof(struct shunt_nat_target) == 32, "shunt_nat_target");

/* What has shapes of its own: shunt_nat_shapes[] holds two for each, of which
 * shunt_nat tells one. */
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

/* Those that rules have, or had lately, in dport or of their targets; a packet
 * to another one is none of NAT's business: shunt_nat_ports[], of TCP and UDP. */
struct shunt_nat_ports {
	__u64 bits[65536 / 64];
};

/* Settings: shunt_nat[0]. */
enum shunt_nat_idle {
	NAT_OPENING = 0,    /* nothing has come back yet */
	NAT_TCP,
	NAT_CLOSING,        /* one end has closed */
	NAT_CLOSED,         /* both have, or one has reset */
	NAT_UDP,
	NAT_IDLES,
};

struct shunt_nat {
	__u64 idle_ns[NAT_IDLES]; /* without packets, until a flow ends */
	__u32 current[NAT_GROUPS]; /* shapes in force */
	__u32 generation;   /* of the rules: how often they have changed */
	__u32 rules;        /* entries of shunt_nat_rules in use, the free ones too */
	__u32 changing;     /* a command changes the rules, or was killed at it */
	__u32 flows;        /* room for so many */
};

_Static_assert(sizeof(struct shunt_nat) == 72, "shunt_nat");

/* A flow has two entries in shunt_nat_flows, for the packets that go out (as
 * they are before) and for those that come back (likewise). */
enum shunt_nat_direction {
	NAT_DIR_ORIGINAL = 1,
	NAT_DIR_REPLY,
	NAT_DIR_EGRESS_FRAGMENT,
	NAT_DIR_INGRESS_FRAGMENT,
};

/* How packets get to the target from where they are. */
enum shunt_nat_forward_action {
	NAT_PASS = 0, /* as they are */
	NAT_MAC,      /* to the link layer address that is known */
	NAT_NEIGHBOR, /* by the kernel, which resolves the next hop */
	NAT_LOCAL,    /* it is on this host */
	NAT_UNROUTED, /* no route */
	NAT_UNTRANSLATED, /* as they are, and unchanged: it keeps its port from others */
};

struct shunt_nat_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u8 direction;     /* enum shunt_nat_direction */
	__u8 pad;
};

_Static_assert(sizeof(struct shunt_nat_key) == 40, "shunt_nat_key");

struct shunt_nat_flow {
	struct shunt_nat_key other; /* the flow's other entry */
	__u64 last_packet_ns; /* last packet this way; coarse CLOCK_MONOTONIC */
	__u64 route_ns;     /* out: until then what follows holds */
	__u64 packets;
	__u64 bytes;
	__u32 rule;
	__u32 ifindex;      /* that the packets out left by before */
	__u32 oif;          /* out: and by now; in: by which the answers should come */
	union {
		__u32 fallback_oif; /* out: and by if no program may ask for routes */
		__u32 generation;  /* untranslated: of the rules at the last look */
	};
	__u8 forward_action; /* enum shunt_nat_forward_action; in: if it is untranslated */
	__u8 tcp_flags;     /* of all packets this way that fit the connection */
	__u8 last_flags;    /* of the last one */
	__u8 raw;           /* ifindex has no link layer header */
	__u8 orig_mac[6];   /* link layer address of ifindex */
	__u8 macs[12];      /* out: the next hop's and oif's; in: oif's */
	__u16 id;           /* random */
	/* of TCP: what tc/nat_tcp.h knows of the packets this way */
	__u32 seq_end;      /* the number after the last one */
	__u32 ack;          /* the highest that was acknowledged */
	__u32 syn;          /* the number after the last SYN's */
	__u32 fin;          /* the number after a FIN that came early; 0: none did */
	__u32 source;       /* out: in shunt_nat_sources */
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_nat_flow) == 136, "shunt_nat_flow");

#endif
