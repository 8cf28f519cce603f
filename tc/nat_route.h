/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: the route to the target. The kernel has routed the packet for its old destination
 * before egress, so the route is looked up again here. A redirected packet passes egress a
 * second time, and is recognised by its tc_index.
 */
#ifndef SHUNT_NAT_ROUTE_H
#define SHUNT_NAT_ROUTE_H

#include "nat_flows.h"

#define ROUTE_NS SECOND
#define NAT_DONE 0x5348 /* tc_index of a translated packet */

/* Looks up the route to the target. Records the interface and link layer addresses in *orig, and
 * returns enum shunt_nat_forward_action. */
static __noinline int route_to_target(struct __sk_buff *skb, struct shunt_nat_flow *orig)
{
	const struct shunt_nat_key *reply_key = &orig->other;
	struct bpf_fib_lookup fib = {
		.family = reply_key->family,
		.l4_protocol = reply_key->proto,
		.sport = bpf_htons(reply_key->dport),
		.dport = bpf_htons(reply_key->sport),
		.ifindex = LOOPBACK_IFINDEX, /* as for packets that this host sends */
	};
	long result;
	__u8 mac[6];
	int i;

	__builtin_memcpy(fib.ipv6_src, reply_key->dst, 16);
	__builtin_memcpy(fib.ipv6_dst, reply_key->src, 16);
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	switch (result) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		break;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
		orig->oif = LOOPBACK_IFINDEX;
		return NAT_LOCAL;
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return NAT_UNROUTED;
	default:
		orig->oif = orig->fallback_oif ? orig->fallback_oif : skb->ifindex;
		return orig->oif == LOOPBACK_IFINDEX ? NAT_LOCAL : NAT_NEIGHBOR;
	}
	orig->oif = fib.ifindex;
	if (orig->raw && fib.ifindex == skb->ifindex)
		return NAT_PASS; /* no link layer address depends on the next hop */
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
		return NAT_NEIGHBOR;
	__builtin_memcpy(orig->macs, fib.dmac, 6);
	__builtin_memcpy(orig->macs + 6, fib.smac, 6);
	if (fib.ifindex != skb->ifindex || bpf_skb_load_bytes(skb, 0, mac, 6))
		return NAT_MAC;
	for (i = 0; i < 6; i++)
		if (mac[i] != fib.dmac[i])
			return NAT_MAC;
	return NAT_PASS;
}

/* Sends the packet by the flow's interface. With fresh, the recorded link layer addresses hold;
 * otherwise the kernel resolves the next hop. */
static __always_inline int redirect(struct __sk_buff *skb, const struct shunt_nat_flow *orig,
				    __u32 l2, bool fresh)
{
	__be16 proto = skb->protocol;

	if (!l2 &&
	    (bpf_skb_change_head(skb, ETH_HLEN, 0) || bpf_skb_store_bytes(skb, 12, &proto, 2, 0)))
		return TC_DROP;
	if (orig->forward_action == NAT_LOCAL)
		return bpf_redirect_neigh(LOOPBACK_IFINDEX, NULL, 0, 0);
	/* No next hop is given. With one, the kernel would send packets that have to wait for
	 * its link layer address by the old route. */
	if (orig->forward_action == NAT_NEIGHBOR || !fresh)
		return bpf_redirect_neigh(orig->oif, NULL, 0, 0);
	if (bpf_skb_store_bytes(skb, 0, orig->macs, 12, 0))
		return TC_DROP;
	return orig->oif == skb->ifindex ? TC_NEXT : bpf_redirect(orig->oif, 0);
}

/* Replies are expected by the interface that the flow's packets leave by: see nat_back.h. */
static __always_inline void set_reply_iface(const struct shunt_nat_flow *orig)
{
	struct shunt_nat_flow *reply = flow_get(&orig->other);

	if (reply)
		reply->oif = orig->oif;
}

/* Sends a translated packet towards the target. Once a second, when the route is looked up, the
 * kernel sends the packet itself, so that it keeps checking that the neighbour is alive. */
static __noinline int forward(struct __sk_buff *skb, struct shunt_nat_flow *orig, __u32 l2)
{
	bool fresh = orig->last_packet_ns < orig->route_ns;

	skb->tc_index = NAT_DONE;
	if (!fresh) {
		orig->forward_action = route_to_target(skb, orig);
		set_reply_iface(orig);
		orig->route_ns = orig->last_packet_ns + ROUTE_NS;
	}
	if (orig->forward_action == NAT_PASS)
		return TC_NEXT;
	if (orig->forward_action == NAT_UNROUTED) {
		COUNT(nat_unroutable, 1);
		return TC_DROP;
	}
	return redirect(skb, orig, l2, fresh);
}

#endif
