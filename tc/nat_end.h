/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: when a flow ends, and how many flows a source has. */
#ifndef SHUNT_NAT_END_H
#define SHUNT_NAT_END_H

#include "nat_tcp.h"

static __always_inline __s32 *share_get(__u32 share)
{
	return bpf_map_lookup_elem(&shunt_nat_shares, &share);
}

static __always_inline void share_add(__u32 share, __s32 n)
{
	__s32 *flows = share_get(share);

	if (flows)
		__sync_fetch_and_add(flows, n);
}

static __always_inline enum shunt_nat_idle idle_of(const struct shunt_nat_flow *out,
						   const struct shunt_nat_flow *in, __u8 proto)
{
	__u8 fins;

	if (proto == IPPROTO_TCP) {
		fins = has_closed(out, in) + has_closed(in, out);
		if (fins == 2 || was_reset(out, in))
			return NAT_CLOSED;
		if (fins)
			return NAT_CLOSING;
	}
	if (!in->packets)
		return NAT_OPENING;
	return proto == IPPROTO_TCP ? NAT_TCP : NAT_UDP;
}

/* Removes both entries of a flow; false if another CPU is at it. */
static __noinline bool end_flow(const struct shunt_nat_key *key, const struct shunt_nat_flow *out)
{
	struct shunt_nat_key back = out->other;
	__u32 share = out->share;

	if (bpf_map_delete_elem(&shunt_nat_flows, &back) ||
	    bpf_map_delete_elem(&shunt_nat_flows, key))
		return false;
	share_add(share, -1);
	COUNT(nat_ended, 1);
	return true;
}

/* Ends a flow if it has been idle for long enough. */
static __noinline bool end_idle(const struct shunt_nat_key *key, const struct shunt_nat_flow *out)
{
	struct shunt_nat_key back = out->other;
	struct shunt_nat_flow *in = flow_get(&back);
	__u64 now = bpf_ktime_get_ns(), due = out->seen_ns;
	struct shunt_nat *nat = nat_get();
	bool unanswered;

	if (!nat)
		return false;
	if (!in)
		return false; /* another CPU ends it */
	if (in->seen_ns > due)
		due = in->seen_ns;
	due += nat->idle_ns[idle_of(out, in, back.proto)];
	unanswered = !in->packets && in->how != NAT_STRAIGHT;
	if (now < due || !end_flow(key, out))
		return false;
	if (unanswered)
		COUNT(nat_unanswered, 1);
	return true;
}

#endif
