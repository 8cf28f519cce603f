/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: the end of flows, and the number of flows of each source. */
#ifndef SHUNT_NAT_END_H
#define SHUNT_NAT_END_H

#include "nat_tcp.h"

/* The counter of a source's flows. */
static __always_inline __s32 *source_flows(__u32 source)
{
	return bpf_map_lookup_elem(&shunt_nat_sources, &source);
}

static __always_inline void source_flows_add(__u32 source, __s32 n)
{
	__s32 *flows = source_flows(source);

	if (flows)
		__sync_fetch_and_add(flows, n);
}

/* The state of the flow, which decides how long it may be idle. */
static __always_inline enum shunt_nat_idle idle_of(const struct shunt_nat_flow *orig,
						   const struct shunt_nat_flow *reply, __u8 proto)
{
	__u8 fins;

	if (proto == IPPROTO_TCP) {
		fins = has_closed(orig, reply) + has_closed(reply, orig);
		if (fins == 2 || was_reset(orig, reply))
			return NAT_CLOSED;
		if (fins)
			return NAT_CLOSING;
	}
	if (!reply->packets)
		return NAT_OPENING;
	return proto == IPPROTO_TCP ? NAT_TCP : NAT_UDP;
}

/* Removes both entries of a flow. Returns false if another CPU removes the flow. */
static __noinline bool end_flow(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig)
{
	struct shunt_nat_key reply_key = orig->other;
	__u32 source = orig->source;

	if (bpf_map_delete_elem(&shunt_nat_flows, &reply_key) ||
	    bpf_map_delete_elem(&shunt_nat_flows, key))
		return false;
	source_flows_add(source, -1);
	COUNT(nat_ended, 1);
	return true;
}

/* Ends a flow that has been idle for longer than its state allows. Returns whether the flow
 * was removed. */
static __noinline bool end_idle(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig)
{
	struct shunt_nat_key reply_key = orig->other;
	struct shunt_nat_flow *reply = flow_get(&reply_key);
	__u64 now = bpf_ktime_get_ns(), due = orig->last_packet_ns;
	struct shunt_nat *nat = nat_get();
	bool unanswered;

	if (!nat)
		return false;
	if (!reply)
		return false; /* another CPU ends it */
	if (reply->last_packet_ns > due)
		due = reply->last_packet_ns;
	due += nat->idle_ns[idle_of(orig, reply, reply_key.proto)];
	unanswered = !reply->packets && reply->forward_action != NAT_UNTRANSLATED;
	if (now < due || !end_flow(key, orig))
		return false;
	if (unanswered)
		COUNT(nat_unanswered, 1);
	return true;
}

#endif
