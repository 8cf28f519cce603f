/* SPDX-License-Identifier: GPL-2.0-only */
/* What rules have done, and the UDP flows that they gave to a listener. */
#ifndef SHUNT_FLOWS_H
#define SHUNT_FLOWS_H

#include "rules.h"

struct shunt_flows_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_FLOWS);
	__type(key, struct shunt_flow);
	__type(value, struct shunt_given);
};
MAP(shunt_flows);

/* This CPU's part of a rule's tally. */
static __always_inline struct shunt_tally *tally_at(const struct shunt_conf *conf, __u32 tally)
{
	__u32 zero = 0, shard = bpf_get_smp_processor_id() & (conf->shards - 1);
	void *tallies = bpf_map_lookup_elem(&shunt_tallies, &zero);

	shard += tally * conf->shards;
	return tallies ? bpf_map_lookup_elem(tallies, &shard) : NULL;
}

#define TALLY(conf, t, field, n)                             \
	do {                                                 \
		if ((conf)->shared)                          \
			__sync_fetch_and_add(&(t)->field, n); \
		else                                         \
			(t)->field += (n);                   \
	} while (0)

static __always_inline __u32 now(void)
{
	return SHUNT_TICKS(bpf_ktime_get_coarse_ns());
}

static __always_inline void tally_packet(const struct shunt_conf *conf, struct shunt_tally *t,
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

/* A rule's tally has an odd birth while the rule lives. */
static __always_inline void flow_begins(const struct packet *pkt, const struct verdict *v,
					const struct shunt_tally *t)
{
	struct shunt_given given = {
		.seen = now(), .tally = v->tally, .birth = t->birth, .to_port = v->to_port,
	};
	struct shunt_flow flow;

	flow_of(pkt, &flow);
	__builtin_memcpy(given.to, v->to, 16);
	if (given.birth & 1)
		bpf_map_update_elem(&shunt_flows, &flow, &given, BPF_ANY);
}

/* The listener that has the flow, NULL if none, or not any more. */
static __always_inline struct shunt_given *flow_given(const struct packet *pkt)
{
	struct shunt_given *given;
	struct shunt_flow flow;

	flow_of(pkt, &flow);
	given = bpf_map_lookup_elem(&shunt_flows, &flow);
	if (given && now() - given->seen > SHUNT_UDP_IDLE)
		return NULL;
	return given;
}

#endif
