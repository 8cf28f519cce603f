/* SPDX-License-Identifier: GPL-2.0-only */
/* The steering rules as units of 64 bytes: docs/internals/rule-store.md. */
#ifndef SHUNT_ABI_RULE_STORE_H
#define SHUNT_ABI_RULE_STORE_H

#include <linux/types.h>

/*
 * The rules are kept in units of 64 bytes: the inner map shunt_rules[0], which
 * has as many units as are needed and is replaced by a larger one when it is
 * full. docs/architecture.md tells how a packet finds its rule there;
 * loader/index.h has what both sides compute.
 */
#define SHUNT_UNIT 64
#define SHUNT_SERVICE 32
#define SHUNT_IFNAME 16

struct shunt_unit {
	__u64 word[8];
};

_Static_assert(sizeof(struct shunt_unit) == SHUNT_UNIT, "shunt_unit");

/* Unit 0: what a search begins with. */
#define SHUNT_TABLES 4
#define SHUNT_FIXED 3 /* units 0 to 2 */

struct shunt_store_header {
	__u64 seed;
	__u32 levels[SHUNT_TABLES]; /* of each table, see loader/index.h: bit k says
				     * that it has prefixes of 4k + 1 to 4k + 4 bits */
	__u8 has_len0[SHUNT_TABLES];     /* the table has prefixes of length 0 */
	__u8 try_all_lengths[SHUNT_TABLES];     /* of so few lengths that a search tries them all */
	__u32 filter;               /* first unit of the prefix filter */
	__u32 filter_mask;          /* its units - 1 */
	__u32 index;                /* first unit of the index */
	__u32 index_mask;
	__u32 ifaces;               /* first unit of an array of struct shunt_rule_iface */
	__u32 iface_count;
	__u32 pad[2];
};

_Static_assert(sizeof(struct shunt_store_header) == SHUNT_UNIT, "shunt_store_header");

/* Unit 1: which lengths the prefixes of each table have. Bit i of hi is for i + 1
 * bits, of lo for i + 65. */
struct shunt_lengths {
	struct {
		__u64 hi;
		__u64 lo;
	} by_table[SHUNT_TABLES];
};

_Static_assert(sizeof(struct shunt_lengths) == SHUNT_UNIT, "shunt_lengths");

/* An interface that rules name, as it was then. */
struct shunt_rule_iface {
	char ifname[SHUNT_IFNAME];
	__u32 ifindex;
	__u32 pad[3];
};

/* Unit 2: what the loader needs to go on from there. */
struct shunt_store_journal {
	__u32 units;       /* in all */
	__u32 next_free_unit;         /* units from here on were never used */
	__u32 filter_used; /* slots */
	__u32 index_used;
	__u32 rules;
	__u32 free_counters;     /* unit of an array of free tallies, used as a stack */
	__u32 free_count;
	__u32 free_room;
	__u32 counters_top;   /* tallies from here on were never used */
	__u32 must_close;       /* free tallies are still to be closed */
	/* One change to come: when slot holds value, there are rules rules,
	 * and the counters of number change_counters - 1 are free. */
	__u32 change_slot; /* of the index, plus 1; 0: none */
	__u32 change_rules;
	__u32 change_counters; /* plus 1; 0: none */
	__u32 pad;
	__u64 change_value;
};

_Static_assert(sizeof(struct shunt_store_journal) == SHUNT_UNIT, "shunt_store_journal");

/* The filter and the index are hash tables of 64-bit slots, eight in a unit:
 * a tag above a value. 0 ends a chain, a value of 0 was deleted. The value is
 * in the filter a bitmap of prefixes, in the index a unit and what it holds. */
#define SHUNT_CHAIN 4 /* units in a chain, at most */
#define SLOT_KIND_MASK 0xc0000000
#define SLOT_NODE 0x40000000  /* struct shunt_node */
#define SLOT_RULE 0x80000000 /* struct shunt_rule, the only one at its port */
#define SLOT_LIST 0xc0000000 /* struct shunt_rule_list of those at its port */

/* A rule's destination ports. */
struct shunt_range {
	__u16 low;
	__u16 high;
	__u32 rule;
};

/* The rules of one destination and source prefix and interface. */
#define SHUNT_INLINE_RULES 3

struct shunt_node {
	__u32 id;          /* the same for each copy of this node */
	__u32 parent;     /* table, or the id of the destination's node */
	__u64 hi;          /* prefix: of the destination if the parent is a table, */
	__u64 lo;          /* else of the source */
	__u8 len;
	__u8 has_iface_nodes;        /* nodes for single interfaces are below this one */
	__u8 pad[2];
	__u32 ifindex;     /* 0: any */
	__u32 src_levels;  /* of the source prefixes below this node */
	__u32 port_index_id;       /* id of its single ports in the index, 0: the rules
			    * are just inline_rules[], in order */
	union {
		struct shunt_range inline_rules[SHUNT_INLINE_RULES];
		struct {
			__u32 ranges;  /* first unit of its shunt_ranges */
			__u32 port_pair_rules;   /* struct shunt_rule_list of rules with a range of
					* destination ports and some source ports */
		};
	};
};

_Static_assert(sizeof(struct shunt_node) == SHUNT_UNIT, "shunt_node");

/* Rules in order of precedence; goes on in the units that follow. */
struct shunt_rule_list {
	__u32 count;
	__u32 rule[15];
};

_Static_assert(sizeof(struct shunt_rule_list) == SHUNT_UNIT, "shunt_rule_list");

/* The rules of a node for a range of ports, whatever the source port. In the
 * units that follow: struct shunt_port_step, sorted by port; then struct shunt_port_hint,
 * one for each 1 << shift ports; then struct shunt_range, in order of
 * precedence. */
struct shunt_port_table {
	__u32 steps;
	__u32 shift;
	__u32 first_hint;  /* unit */
	__u32 ranges;
	__u32 first_range; /* unit */
	__u32 pad[11];
};

_Static_assert(sizeof(struct shunt_port_table) == SHUNT_UNIT, "shunt_port_table");

/* Which steps are for these ports: from low on, before high. */
struct shunt_port_hint {
	__u32 low;
	__u32 high;
};

/* From this port on to the next step that rule holds. */
struct shunt_port_step {
	__u32 port;
	__u32 rule;        /* 0: none */
};

enum shunt_action {
	SHUNT_PASS = 0,
	SHUNT_STEER = 1,
};

/* What a rule does with packets for an address of this host where a socket that is no
 * router's listens. */
enum shunt_own {
	SHUNT_OWN_TAKE = 0, /* they go to the router */
	SHUNT_OWN_KEEP = 1, /* they are left to that socket */
};

/* What a rule does with a TCP segment that belongs to no socket. */
enum shunt_unknown {
	SHUNT_UNKNOWN_AUTO = 0, /* it is reset if only the router can have had its connection */
	SHUNT_UNKNOWN_RESET,
	SHUNT_UNKNOWN_PASS,
};

/* Two units. Never changes once something leads to it. */
struct shunt_rule {
	__u32 node;         /* id */
	__u32 counters;        /* its parts: from counters * conf.shards on in shunt_rule_counters[0] */
	__u16 dport_low;
	__u16 dport_high;
	__u16 sport_low;    /* 0 to 65535 when the rule does not say */
	__u16 sport_high;
	__u32 ifindex;      /* 0: any; SHUNT_NO_IFINDEX: not there yet */
	__u8 action;        /* enum shunt_action */
	__u8 family;        /* AF_INET, AF_INET6 */
	__u8 proto;         /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 old;           /* made by map_update */
	__u8 dst_len;       /* prefix lengths, in bits */
	__u8 src_len;
	__u16 to_port;
	__u8 own;           /* enum shunt_own */
	__u8 router;        /* the process that made it: entry of shunt_routers + 1; 0: none */
	__u8 shadowed;      /* in words only: see struct shunt_shadows */
	__u8 unknown;       /* enum shunt_unknown */
	__u8 to[16];        /* the listener's address, same family */
	__u8 dst[16];
	__u8 src[16];
	char ifname[SHUNT_IFNAME];
	char service[SHUNT_SERVICE];
};

_Static_assert(sizeof(struct shunt_rule) == 2 * SHUNT_UNIT, "shunt_rule");

#define SHUNT_NO_IFINDEX 0xffffffff

/* In the place of an interface: what this host itself sends, which rules for
 * any interface do not match. No interface can have the name. */
#define SHUNT_LOCAL_IFINDEX 0xfffffffe
#define SHUNT_LOCAL_IFNAME ":local"

/* What a rule has done: one of conf.shards parts, in the inner map
 * shunt_rule_counters[0] (plain adds if each CPU has its own). */
#define SHUNT_SHARDS 4

struct shunt_rule_counters {
	__u64 packets;
	__u64 bytes;
	__u64 flows;        /* TCP connection requests, and UDP flows */
	__u64 misses;       /* packets that found no listener */
	__u32 hit;          /* tick of the last packet that was given to the listener;
			     * at first of the rule's making */
	__u32 miss;         /* tick of the last packet that found no listener */
	__u32 generation;        /* one more whenever a rule takes these counters or leaves them:
			     * odd while there is one */
	__u32 pad;
	__u64 own;          /* first packets left to this host's own services */
	__u32 loops;        /* connections that had come back to the router */
	__u32 resets;       /* TCP segments of connections that the router has forgotten */
};

_Static_assert(sizeof(struct shunt_rule_counters) == 64, "shunt_rule_counters");

#endif
