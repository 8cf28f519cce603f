/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rules have done, and the UDP flows that they gave to a listener. These are
 * in buckets, which nobody locks; when one is full, the flow in it that has been
 * idle for longest gives way, and its next packet asks the rules again.
 */
#ifndef SHUNT_FLOWS_H
#define SHUNT_FLOWS_H

#include "rules.h"

/* Its stack is not its caller's, which has none to spare. */
#define NOT_INLINED __noinline __attribute__((unused))

/* load sets the size */
struct shunt_flows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_givens);
};
MAP(shunt_flows);

/* This CPU's part of a rule's tally. */
static __always_inline struct shunt_rule_counters *tally_at(const struct shunt_conf *conf, __u32 counters)
{
	__u32 zero = 0, shard = bpf_get_smp_processor_id() & (conf->shards - 1);
	void *tallies = bpf_map_lookup_elem(&shunt_rule_counters, &zero);

	shard += counters * conf->shards;
	return tallies ? bpf_map_lookup_elem(tallies, &shard) : NULL;
}

#define TALLY(conf, t, field, n)                             \
	do {                                                 \
		if ((conf)->counters_shared)                 \
			__sync_fetch_and_add(&(t)->field, n); \
		else                                         \
			(t)->field += (n);                   \
	} while (0)

static __always_inline __u32 now(void)
{
	return SHUNT_TICKS(bpf_ktime_get_coarse_ns());
}

static __always_inline void tally_packet(const struct shunt_conf *conf, struct shunt_rule_counters *t,
					 __u32 len)
{
	TALLY(conf, t, packets, 1);
	TALLY(conf, t, bytes, len);
}

static __always_inline void flow_of(const struct packet *pkt, struct shunt_flow *ret)
{
	__builtin_memcpy(ret->src, pkt->src, 16);
	__builtin_memcpy(ret->dst, pkt->dst, 16);
	ret->sport = pkt->sport;
	ret->dport = pkt->dport;
	ret->family = pkt->family;
	ret->ifindex = pkt->ifindex;
}

/* Multilinear hashing with secret keys, the upper halves of two sums: that two
 * flows have the same is as likely as a guess of 64 bits. */
static __always_inline __u64 flow_hash(const struct packet *pkt, const struct shunt_conf *conf,
				       __u32 ifindex)
{
	const __u32 *src = (const __u32 *)pkt->src, *dst = (const __u32 *)pkt->dst;
	__u64 a, b;
	int i;

#define ADD(key, word) (a += conf->flow_keys[0][key] * (word), b += conf->flow_keys[1][key] * (word))
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
	/* Ports and addresses in a row give sums in a row: mixed, they are not
	 * in few buckets. */
	a = (a & ~0ULL << 32) | b >> 32;
	a = (a ^ a >> 32) * 0xbf58476d1ce4e5b9ULL;
	a = (a ^ a >> 29) * 0x94d049bb133111ebULL;
	return a ^ a >> 32;
}

/* The bucket in which the flow is kept, if it is. */
static __always_inline struct shunt_givens *givens_of(__u64 hash, const struct shunt_conf *conf)
{
	__u32 i = (__u32)hash & (conf->flow_buckets - 1);

	return bpf_map_lookup_elem(&shunt_flows, &i);
}

static __always_inline __u16 flow_tag(__u64 hash)
{
	__u16 tag = hash >> 48;

	return tag ? tag : 1;
}

static __always_inline __u64 given_check(__u64 hash, __u64 tally_birth, __u64 to, __u64 to_rest,
					 __u64 to_port)
{
	return hash ^ checksum(tally_birth, to, to_rest, to_port);
}

/* Copies to *ret what the entry says of its listener; false if it is another flow's,
 * or was written by two at once. */
static __always_inline bool given_read(const volatile struct shunt_given *way, __u64 hash,
				       struct shunt_given *ret)
{
	const volatile __u64 *to = (const volatile __u64 *)way->to;

	if (way->tag != flow_tag(hash))
		return false;
	ret->counters = way->counters;
	ret->generation = way->generation;
	((__u64 *)ret->to)[0] = to[0];
	((__u64 *)ret->to)[1] = to[1];
	ret->to_port = way->to_port;
	ret->seen = way->seen;
	return way->check == given_check(hash, (__u64)ret->counters << 32 | ret->generation,
					 ((__u64 *)ret->to)[0], ((__u64 *)ret->to)[1],
					 ret->to_port);
}

/* The entry of the flow; NULL if it has none. */
static __always_inline struct shunt_given *given_find(struct shunt_givens *b, __u64 hash,
						      struct shunt_given *ret)
{
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_FLOW_WAYS; i++)
		if (given_read(&b->way[i], hash, ret))
			return &b->way[i];
	return NULL;
}

/* A free entry, or that of the flow that has been idle for longest; if several have,
 * not the same one for all. */
static __always_inline struct shunt_given *given_oldest(struct shunt_givens *b, __u16 tag,
							__u32 tick)
{
	struct shunt_given *ret = &b->way[0];
	__u64 age, most = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < SHUNT_FLOW_WAYS; i++) {
		age = b->way[i].tag ? tick - b->way[i].seen : ~0U;
		age = age << 2 | ((tag + tick + i) & 3);
		if (age >= most) {
			most = age;
			ret = &b->way[i];
		}
	}
	return ret;
}

/* A rule's counters has an odd generation while the rule lives. */
static NOT_INLINED void flow_begins(struct shunt_given *scratch, __u64 hash,
				    const struct verdict *v, const struct shunt_rule_counters *t,
				    const struct shunt_conf *conf)
{
	struct shunt_givens *b = givens_of(hash, conf);
	__u32 tick = now(), generation = t->generation;
	struct shunt_given *way;
	__u64 to[2];

	if (!b || !(generation & 1))
		return;
	way = given_find(b, hash, scratch);
	if (!way)
		way = given_oldest(b, flow_tag(hash), tick);
	__builtin_memcpy(to, v->to, 16);
	way->check = given_check(hash, (__u64)v->counters << 32 | generation, to[0], to[1], v->to_port);
	way->counters = v->counters;
	way->generation = generation;
	__builtin_memcpy(way->to, to, 16);
	way->to_port = v->to_port;
	way->tag = flow_tag(hash);
	way->seen = tick;
}

/* The entry of the flow, and in *ret the listener that has it; NULL if none has, or
 * not any more. Who gives it the packet says so by flow_goes_on(). *ret_hash is the
 * flow's in any case. */
static NOT_INLINED struct shunt_given *flow_given(const struct packet *pkt,
						  const struct shunt_conf *conf,
						  __u64 *ret_hash, struct shunt_given *ret)
{
	__u64 hash = *ret_hash = flow_hash(pkt, conf, pkt->ifindex);
	struct shunt_givens *b = givens_of(hash, conf);
	struct shunt_given *way;

	if (!b)
		return NULL;
	way = given_find(b, hash, ret);
	return way && now() - ret->seen <= SHUNT_UDP_IDLE ? way : NULL;
}

static __always_inline void flow_goes_on(struct shunt_given *way, __u32 tick)
{
	if (way->seen != tick)
		way->seen = tick;
}

#endif
