/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: the maps, and the keys of flows. */
#ifndef SHUNT_NAT_MAPS_H
#define SHUNT_NAT_MAPS_H

#include "packet.h"

#define SECOND 1000000000ULL

/* Offsets in the IP header: of the checksum, of the addresses. */
#define IPV4_CHECK 10
#define IPV4_SRC 12
#define IPV4_DST 16
#define IPV6_SRC 8
#define IPV6_DST 24

struct shunt_nat_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat);
};
MAP(shunt_nat);

struct shunt_nat_rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_NAT_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_rule);
};
MAP(shunt_nat_rules);

struct shunt_nat_match_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHUNT_NAT_MATCHES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_nat_match);
	__type(value, struct shunt_nat_target);
};
MAP(shunt_nat_match);

struct shunt_nat_shapes_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * NAT_GROUPS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_shapes);
};
MAP(shunt_nat_shapes);

struct shunt_nat_ports_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_ports);
};
MAP(shunt_nat_ports);

/* Load sets the size. */
struct shunt_nat_flows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_nat_key);
	__type(value, struct shunt_nat_flow);
};
MAP(shunt_nat_flows);

/* Fragmented datagrams of flows: later fragments carry no ports. The key has the addresses,
 * and the identification in the place of the ports. The value is the key of the flow, which
 * the first fragment has shown. */
struct shunt_nat_fragments_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct shunt_nat_key);
	__type(value, struct shunt_nat_key);
};
MAP(shunt_nat_fragments);

/* The number of fragments that came before their datagram's first fragment, by the same key.
 * Most of these datagrams are none of NAT's. */
struct shunt_nat_out_of_order_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct shunt_nat_key);
	__type(value, __u64);
};
MAP(shunt_nat_out_of_order);

struct shunt_nat_expiry_entry {
	struct shunt_nat_key key;
	__u16 id; /* the flow's id; if they differ, the flow has been replaced by another */
	__u16 pad;
};

/* The original entries of all flows, in the order in which they are examined for expiry. Load
 * sets the size. */
struct shunt_nat_queue_map {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, struct shunt_nat_expiry_entry);
};
MAP(shunt_nat_queue);

struct shunt_nat_sweep {
	struct bpf_timer timer;
	__u32 running;
	__u32 flows; /* in the queue */
	__u32 seed;  /* of the hash of sources, random */
};

struct shunt_nat_sweep_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_nat_sweep);
};
MAP(shunt_nat_sweep);

/* The number of flows of each source. The index is a hash of the source, so some sources share
 * a number. */
#define SHUNT_NAT_SOURCES 16384

struct shunt_nat_sources_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_NAT_SOURCES);
	__type(key, __u32);
	__type(value, __s32);
};
MAP(shunt_nat_sources);

/* What happens to a packet without a flow. */
enum disposition {
	DISP_IGNORE,      /* the packet passes */
	DISP_TRANSLATE,   /* it gets a flow to a rule's target */
	DISP_TRACK,       /* its own destination is a target: it gets an untranslated flow */
	DISP_CHANGE_PORT, /* a flow has its source port already: it gets a flow with another port */
};

/* Per CPU: data that is too large for the stack, or that the verifier can't follow. */
struct scratch {
	struct packet pkt;              /* here the verifier need not track its values */
	struct shunt_nat_flow flow;     /* the flow that is being made */
	struct shunt_nat_key reply_key; /* of that flow's reply entry */
	struct shunt_nat_target target;
	enum disposition disposition;
	__u32 generation;              /* of the rules, at the look-up */
	struct shunt_nat_key datagram; /* of the fragment's datagram */
};

struct shunt_nat_scratch_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
};
MAP(shunt_nat_scratch);

static __always_inline struct shunt_nat *nat_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat, &zero);
}

static __always_inline struct shunt_nat_sweep *sweep_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat_sweep, &zero);
}

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat_scratch, &zero);
}

static __always_inline struct shunt_nat_rule *rule_get(__u32 index)
{
	return bpf_map_lookup_elem(&shunt_nat_rules, &index);
}

static __always_inline struct shunt_nat_flow *flow_get(const struct shunt_nat_key *key)
{
	return bpf_map_lookup_elem(&shunt_nat_flows, key);
}

/* The key of the flow's entry for pkt. */
static __always_inline void key_of(struct shunt_nat_key *key, const struct packet *pkt,
				   __u8 direction)
{
	__builtin_memcpy(key->src, pkt->src, 16);
	__builtin_memcpy(key->dst, pkt->dst, 16);
	key->sport = pkt->sport;
	key->dport = pkt->dport;
	key->family = pkt->family;
	key->proto = pkt->proto;
	key->direction = direction;
	key->pad = 0;
}

/* The key that a reply to pkt has. */
static __always_inline void reply_key_of(struct shunt_nat_key *key, const struct packet *pkt,
					 __u8 direction)
{
	__builtin_memcpy(key->src, pkt->dst, 16);
	__builtin_memcpy(key->dst, pkt->src, 16);
	key->sport = pkt->dport;
	key->dport = pkt->sport;
	key->family = pkt->family;
	key->proto = pkt->proto;
	key->direction = direction;
	key->pad = 0;
}

/* The entry that replies to a packet would find. */
static __always_inline struct shunt_nat_flow *reply_flow_of(const struct packet *pkt)
{
	struct shunt_nat_key reply_key;

	reply_key_of(&reply_key, pkt, NAT_DIR_REPLY);
	return flow_get(&reply_key);
}

#endif
