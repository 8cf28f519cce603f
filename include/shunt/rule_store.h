/* SPDX-License-Identifier: GPL-2.0-only */
/* The steering rules as units of 64 bytes: docs/internals/rule-store.md. */
#ifndef SHUNT_ABI_RULE_STORE_H
#define SHUNT_ABI_RULE_STORE_H

#include <linux/types.h>

/*
 * The inner map shunt_rules[0] is an array of units of 64 bytes, which hold all rules. A larger
 * array takes its place when it is full. docs/internals/rule-store.md describes how a packet
 * finds its rule; shunt/rule_hash.h has what programs and the loader compute in the same way.
 */
#define SHUNT_UNIT 64
#define SHUNT_SERVICE 32
#define SHUNT_IFNAME 16

struct shunt_unit {
	__u64 word[8];
};

_Static_assert(sizeof(struct shunt_unit) == SHUNT_UNIT, "shunt_unit");

/* Unit 0, where a search begins. */
#define SHUNT_TABLES 4
#define SHUNT_FIXED 3 /* units before the filter */

struct shunt_store_header {
	__u64 seed;
	__u32 levels[SHUNT_TABLES];         /* of each table (table_of()): bit k is set if it has
					     * prefixes of 4k + 1 to 4k + 4 bits */
	__u8 has_len0[SHUNT_TABLES];        /* the table has prefixes of length 0 */
	__u8 try_all_lengths[SHUNT_TABLES]; /* the prefixes have few lengths: a search tries all
					     * of them and asks no filter */
	__u32 filter;                       /* first unit of the prefix filter */
	__u32 filter_mask;                  /* its units - 1 */
	__u32 index;                        /* first unit of the index */
	__u32 index_mask;
	__u32 ifaces; /* first unit of an array of struct shunt_rule_iface */
	__u32 iface_count;
	__u32 pad[2];
};

_Static_assert(sizeof(struct shunt_store_header) == SHUNT_UNIT, "shunt_store_header");

/* Unit 1: the lengths of each table's prefixes. Bit i of hi is for i + 1 bits, bit i of lo for
 * i + 65 bits. */
struct shunt_lengths {
	struct {
		__u64 hi;
		__u64 lo;
	} by_table[SHUNT_TABLES];
};

_Static_assert(sizeof(struct shunt_lengths) == SHUNT_UNIT, "shunt_lengths");

/* An interface that rules name, with the index that it had when the rule was made. */
struct shunt_rule_iface {
	char ifname[SHUNT_IFNAME];
	__u32 ifindex;
	__u32 pad[3];
};

/* Unit 2, which only the loader uses. */
struct shunt_store_journal {
	__u32 units;          /* in all */
	__u32 next_free_unit; /* this unit and those after it were never used */
	__u32 filter_used;    /* slots */
	__u32 index_used;
	__u32 rules;
	__u32 free_counters; /* first unit of the stack of numbers of free counters */
	__u32 free_count;    /* numbers on the stack */
	__u32 free_room;
	__u32 counters_top; /* counters of this number and those after it were never used */
	__u32 must_close;   /* free counters may still count as in use: they have to be closed */
	/* A change that may be under way, for recovery after a kill. If slot change_slot - 1
	 * holds change_value, the change took place: there are change_rules rules, and the
	 * counters of number change_counters - 1 are free. Otherwise the change is dropped. */
	__u32 change_slot; /* of the index, plus 1; 0: none */
	__u32 change_rules;
	__u32 change_counters; /* plus 1; 0: none */
	__u32 pad;
	__u64 change_value;
};

_Static_assert(sizeof(struct shunt_store_journal) == SHUNT_UNIT, "shunt_store_journal");

/* The filter and the index are hash tables of 64-bit slots, eight in a unit. The upper half of a
 * slot is a tag, the lower half a value: in the filter a bitmap of prefixes, in the index a unit
 * and its kind. A slot of 0 ends a chain; a slot with a tag and the value 0 was deleted. */
#define SHUNT_CHAIN 4 /* units in a chain, at most */
#define SLOT_KIND_MASK 0xc0000000
#define SLOT_NODE 0x40000000 /* struct shunt_node */
#define SLOT_RULE 0x80000000 /* struct shunt_rule, the only rule for its port */
#define SLOT_LIST 0xc0000000 /* struct shunt_rule_list, the rules for one port */

/* A rule's destination ports. */
struct shunt_range {
	__u16 low;
	__u16 high;
	__u32 rule;
};

/* The rules of one destination and source prefix and interface. */
#define SHUNT_INLINE_RULES 3

struct shunt_node {
	__u32 id;     /* stays the same when the node is copied */
	__u32 parent; /* of a destination: the table; of a source: id of its destination */
	__u64 hi;     /* the prefix, of the destination or of the source */
	__u64 lo;
	__u8 len;
	__u8 has_iface_nodes; /* of a destination: nodes for single interfaces are below */
	__u8 pad[2];
	__u32 ifindex;       /* 0: any */
	__u32 src_levels;    /* of a destination: levels of the source prefixes below */
	__u32 port_index_id; /* names its single ports in the index; 0: all rules are in
			      * inline_rules[], in order of precedence */
	union {
		struct shunt_range inline_rules[SHUNT_INLINE_RULES];
		struct {
			__u32 port_table; /* unit of struct shunt_port_table; 0: none */
			/* unit of struct shunt_rule_list: rules for a range of destination
			 * ports and certain source ports */
			__u32 port_pair_rules;
		};
	};
};

_Static_assert(sizeof(struct shunt_node) == SHUNT_UNIT, "shunt_node");

/* Rules in order of precedence. A longer list goes on in the units that follow. */
struct shunt_rule_list {
	__u32 count;
	__u32 rule[15];
};

_Static_assert(sizeof(struct shunt_rule_list) == SHUNT_UNIT, "shunt_rule_list");

/* The rules of a node for a range of destination ports and any source port. The units that follow
 * have struct shunt_port_step, sorted by port; then struct shunt_port_hint, one for each group
 * of 1 << shift ports; then struct shunt_range, in order of precedence. */
struct shunt_port_table {
	__u32 steps;
	__u32 shift;
	__u32 first_hint; /* unit */
	__u32 ranges;
	__u32 first_range; /* unit */
	__u32 pad[11];
};

_Static_assert(sizeof(struct shunt_port_table) == SHUNT_UNIT, "shunt_port_table");

/* The steps for a group of ports: low is the first, high the one after the last. */
struct shunt_port_hint {
	__u32 low;
	__u32 high;
};

/* The rule for the ports from this one up to the next step. */
struct shunt_port_step {
	__u32 port;
	__u32 rule; /* 0: none */
};

enum shunt_action {
	SHUNT_PASS = 0,
	SHUNT_STEER = 1,
};

/* What a rule does with packets for an address of this host where a socket listens that is not a
 * router's. */
enum shunt_own {
	SHUNT_OWN_TAKE = 0, /* the router gets them */
	SHUNT_OWN_KEEP = 1, /* that socket gets them */
};

/* What a rule does with a TCP segment that belongs to no socket. */
enum shunt_unknown {
	SHUNT_UNKNOWN_AUTO = 0, /* reset it if only the router can have had its connection */
	SHUNT_UNKNOWN_RESET,
	SHUNT_UNKNOWN_PASS,
};

/* Two units, which never change once something leads to them. */
struct shunt_rule {
	__u32 node;     /* id */
	__u32 counters; /* number: see struct shunt_rule_counters */
	__u16 dport_low;
	__u16 dport_high;
	__u16 sport_low; /* 0 to 65535: any */
	__u16 sport_high;
	__u32 ifindex; /* 0: any; SHUNT_NO_IFINDEX: the interface is not there yet */
	__u8 action;   /* enum shunt_action */
	__u8 family;   /* AF_INET, AF_INET6 */
	__u8 proto;    /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 compat;   /* made by map_update */
	__u8 dst_len;  /* prefix lengths, in bits */
	__u8 src_len;
	__u16 to_port;
	__u8 own;      /* enum shunt_own */
	__u8 router;   /* the process that made the rule: index in shunt_routers + 1; 0: none */
	__u8 shadowed; /* only in rules read from words: see struct shunt_shadows */
	__u8 unknown;  /* enum shunt_unknown */
	__u8 to[16];   /* the listener's address, same family */
	__u8 dst[16];
	__u8 src[16];
	char ifname[SHUNT_IFNAME];
	char service[SHUNT_SERVICE];
};

_Static_assert(sizeof(struct shunt_rule) == 2 * SHUNT_UNIT, "shunt_rule");

#define SHUNT_NO_IFINDEX 0xffffffff

/* In the place of an interface, for packets that this host itself sends. Rules for any interface
 * do not match them. No interface can have this name. */
#define SHUNT_LOCAL_IFINDEX 0xfffffffe
#define SHUNT_LOCAL_IFNAME ":local"

/*
 * What a rule has done. The counters of number n are conf.shards entries of the inner map
 * shunt_rule_counters[0], from n * conf.shards on: the shards. A CPU counts in the shard of its
 * own number modulo conf.shards. If no other CPU has the same shard, it needs no atomic add.
 */
#define SHUNT_SHARDS 4 /* at most */

struct shunt_rule_counters {
	__u64 packets;
	__u64 bytes;
	__u64 flows;      /* TCP connection requests, and UDP flows */
	__u64 misses;     /* packets that found no listener */
	__u32 last_hit;   /* tick when a packet last began a flow to the listener; before the
			   * first one, when the rule was added or changed */
	__u32 last_miss;  /* tick of the last packet that found no listener */
	__u32 generation; /* grows when a rule takes these counters and when it releases
			   * them: odd while a rule has them */
	__u32 pad;
	__u64 own_services; /* first packets of flows that were left to services of this host */
	__u32 loops;        /* connections of the router that came back to the router */
	__u32 resets;       /* TCP segments of connections that the router has forgotten */
};

_Static_assert(sizeof(struct shunt_rule_counters) == 64, "shunt_rule_counters");

#endif
