/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The counters of rules, and the UDP flows that rules gave to a listener. The flows are in
 * buckets without locks. A new flow in a full bucket replaces the flow that has been idle
 * for longest; the next packet of the replaced flow searches the rules again.
 */
#ifndef SHUNT_FLOWS_H
#define SHUNT_FLOWS_H

#include "rules.h"

/* A function of its own has its own stack frame; the frames of the callers are full. */
#define NOT_INLINED __noinline __attribute__((unused))

/* 'shunt load' sets the number of buckets. */
struct shunt_udp_flows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_udp_bucket);
};
MAP(shunt_udp_flows);

/* This CPU's part of a rule's counters. */
static __always_inline struct shunt_rule_counters *counters_at(const struct shunt_conf *conf,
							       __u32 counters)
{
	__u32 zero = 0, shard = bpf_get_smp_processor_id() & (conf->shards - 1);
	void *shards = bpf_map_lookup_elem(&shunt_rule_counters, &zero);

	shard += counters * conf->shards;
	return shards ? bpf_map_lookup_elem(shards, &shard) : NULL;
}

#define COUNT_RULE(conf, counters, field, n) \
	do { \
		if ((conf)->counters_shared) \
			__sync_fetch_and_add(&(counters)->field, n); \
		else \
			(counters)->field += (n); \
	} while (0)

static __always_inline __u32 tick_now(void)
{
	return SHUNT_TICKS(bpf_ktime_get_coarse_ns());
}

static __always_inline void count_rule_packet(const struct shunt_conf *conf,
					      struct shunt_rule_counters *counters, __u32 len)
{
	COUNT_RULE(conf, counters, packets, 1);
	COUNT_RULE(conf, counters, bytes, len);
}

/* Sets *ret to the packet's flow. */
static __always_inline void flow_of(const struct packet *pkt, struct shunt_flow *ret)
{
	__builtin_memcpy(ret->src, pkt->src, 16);
	__builtin_memcpy(ret->dst, pkt->dst, 16);
	ret->sport = pkt->sport;
	ret->dport = pkt->dport;
	ret->family = pkt->family;
	ret->ifindex = pkt->ifindex;
}

/* Multilinear hashing with secret keys: the upper halves of two sums. Nobody who does not know
 * the keys can find two flows with the same hash more easily than by guessing 64 bits. */
static __always_inline __u64 flow_hash(const struct packet *pkt, const struct shunt_conf *conf,
				       __u32 ifindex)
{
	const __u32 *src = (const __u32 *)pkt->src, *dst = (const __u32 *)pkt->dst;
	__u64 a, b;
	int i;

#define ADD(key, word) \
	(a += conf->flow_keys[0][key] * (word), b += conf->flow_keys[1][key] * (word))
	a = conf->flow_keys[0][SHUNT_FLOW_WORDS + (pkt->family == AF_INET6)];
	b = conf->flow_keys[1][SHUNT_FLOW_WORDS + (pkt->family == AF_INET6)];
	ADD(0, src[0]);
	ADD(1, dst[0]);
	ADD(2, (__u32)pkt->sport << 16 | pkt->dport);
	ADD(3, ifindex);
	if (pkt->family == AF_INET6) {
#pragma unroll
		for (i = 1; i < 4; i++) {
			ADD(3 + i, src[i]);
			ADD(6 + i, dst[i]);
		}
	}
#undef ADD
	/* Consecutive ports and addresses give sums at equal distances. Mixing spreads
	 * these over all buckets. */
	a = (a & ~0ULL << 32) | b >> 32;
	a = (a ^ a >> 32) * 0xbf58476d1ce4e5b9ULL;
	a = (a ^ a >> 29) * 0x94d049bb133111ebULL;
	return a ^ a >> 32;
}

/* The only bucket that may have the flow. */
static __always_inline struct shunt_udp_bucket *udp_bucket_of(__u64 hash,
							      const struct shunt_conf *conf)
{
	__u32 i = (__u32)hash & (conf->flow_buckets - 1);

	return bpf_map_lookup_elem(&shunt_udp_flows, &i);
}

static __always_inline __u16 flow_tag(__u64 hash)
{
	__u16 tag = hash >> 48;

	return tag ? tag : 1;
}

/* The check word of an entry with these values. */
static __always_inline __u64 udp_flow_check(__u64 hash, __u64 rule, __u64 to, __u64 to_rest,
					    __u64 to_port)
{
	return hash ^ checksum(rule, to, to_rest, to_port);
}

/* Copies the entry's listener to *ret. Returns false if the entry is another flow's, or if
 * two CPUs wrote the entry at the same time. */
static __always_inline bool udp_flow_read(const volatile struct shunt_udp_flow *entry, __u64 hash,
					  struct shunt_udp_flow *ret)
{
	const volatile __u64 *to = (const volatile __u64 *)entry->to;

	if (entry->tag != flow_tag(hash))
		return false;
	ret->counters = entry->counters;
	ret->generation = entry->generation;
	((__u64 *)ret->to)[0] = to[0];
	((__u64 *)ret->to)[1] = to[1];
	ret->to_port = entry->to_port;
	ret->last_used = entry->last_used;
	return entry->check == udp_flow_check(hash, (__u64)ret->counters << 32 | ret->generation,
					      ((__u64 *)ret->to)[0], ((__u64 *)ret->to)[1],
					      ret->to_port);
}

/* The flow's entry in the bucket; NULL if there is none. */
static __always_inline struct shunt_udp_flow *bucket_find(struct shunt_udp_bucket *b, __u64 hash,
							  struct shunt_udp_flow *ret)
{
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_UDP_BUCKET_FLOWS; i++)
		if (udp_flow_read(&b->flow[i], hash, ret))
			return &b->flow[i];
	return NULL;
}

/* The entry that a new flow may replace: a free one, or that of the flow that has been idle
 * for longest. Among equals, the choice differs from flow to flow. */
static __always_inline struct shunt_udp_flow *bucket_replaceable(struct shunt_udp_bucket *b,
								 __u16 tag, __u32 tick)
{
	struct shunt_udp_flow *ret = &b->flow[0];
	__u64 age, most = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < SHUNT_UDP_BUCKET_FLOWS; i++) {
		age = b->flow[i].tag ? tick - b->flow[i].last_used : ~0U;
		age = age << 2 | ((tag + tick + i) & 3);
		if (age >= most) {
			most = age;
			ret = &b->flow[i];
		}
	}
	return ret;
}

/* Records that the flow belongs to the rule's listener. A rule that is being deleted, whose
 * counters have an even generation, gets no flow. */
static NOT_INLINED void udp_flow_add(struct shunt_udp_flow *scratch, __u64 hash,
				     const struct rule_match *match,
				     const struct shunt_rule_counters *counters,
				     const struct shunt_conf *conf)
{
	struct shunt_udp_bucket *b = udp_bucket_of(hash, conf);
	__u32 tick = tick_now(), generation = counters->generation;
	struct shunt_udp_flow *entry;
	__u64 to[2];

	if (!b || !(generation & 1))
		return;
	entry = bucket_find(b, hash, scratch);
	if (!entry)
		entry = bucket_replaceable(b, flow_tag(hash), tick);
	__builtin_memcpy(to, match->to, 16);
	entry->check = udp_flow_check(hash, (__u64)match->counters << 32 | generation, to[0], to[1],
				      match->to_port);
	entry->counters = match->counters;
	entry->generation = generation;
	__builtin_memcpy(entry->to, to, 16);
	entry->to_port = match->to_port;
	entry->tag = flow_tag(hash);
	entry->last_used = tick;
}

/* Returns the flow's entry and sets *ret to its listener; NULL if there is no entry, or if
 * the flow was idle for too long. The caller calls udp_flow_refresh() when the listener has
 * taken the packet. Sets *ret_hash to the flow's hash in any case. */
static NOT_INLINED struct shunt_udp_flow *udp_flow_find(const struct packet *pkt,
							const struct shunt_conf *conf,
							__u64 *ret_hash, struct shunt_udp_flow *ret)
{
	__u64 hash = *ret_hash = flow_hash(pkt, conf, pkt->ifindex);
	struct shunt_udp_bucket *b = udp_bucket_of(hash, conf);
	struct shunt_udp_flow *entry;

	if (!b)
		return NULL;
	entry = bucket_find(b, hash, ret);
	return entry && tick_now() - ret->last_used <= SHUNT_UDP_IDLE ? entry : NULL;
}

static __always_inline void udp_flow_refresh(struct shunt_udp_flow *entry, __u32 tick)
{
	if (entry->last_used != tick)
		entry->last_used = tick;
}

#endif
