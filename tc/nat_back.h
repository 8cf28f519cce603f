/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: by which interface an answer comes in. The kernel, or a rule of nftables, may
 * ask whether the source of a packet is reached by the interface that the packet came
 * by (source validation). An answer has its old source again when they look, so the
 * answer has to be where the old source is as right, or as wrong, as the target was.
 */
#ifndef SHUNT_NAT_BACK_H
#define SHUNT_NAT_BACK_H

#include "nat_maps.h"

#define RP_FILTER (8 - 1) /* IPV4_DEVCONF_RP_FILTER, from which the kernel counts on */
#define STRICT 1

/* The interface that the target is reached by. A flow that has not asked for a route
 * goes to its own destination. */
static __always_inline __u32 target_iface(const struct shunt_nat_flow *reply)
{
	return reply->oif ? reply->oif : reply->ifindex;
}

/* net.ipv4.conf.*.rp_filter where the packet is: the larger value holds. */
static __noinline bool is_strict(struct __sk_buff *skb)
{
	const struct sk_buff *k = (const void *)skb;
	int all = BPF_CORE_READ(k, dev, nd_net.net, ipv4.devconf_all, data[RP_FILTER]);
	int own = BPF_CORE_READ(k, dev, ip_ptr, cnf.data[RP_FILTER]);

	return (all > own ? all : own) == STRICT;
}

/* Can an answer go to the interface that the target is reached by? */
static __always_inline bool knows_target_mac(const struct shunt_nat_flow *reply)
{
	return !reply->raw && (reply->macs[0] | reply->macs[1] | reply->macs[2] | reply->macs[3] |
			       reply->macs[4] | reply->macs[5]);
}

/* A packet leaves by the way to the target: its source is the link layer address there. */
static __always_inline void learn_target_mac(struct __sk_buff *skb, struct shunt_nat_flow *reply,
					     __u32 l2)
{
	if (l2 && skb->ifindex != reply->ifindex && skb->ifindex == reply->oif &&
	    !knows_target_mac(reply))
		bpf_skb_load_bytes(skb, 6, reply->macs, 6);
}

/*
 * The kernel would not take the packet from the target by this interface: the packet is
 * none of the flow's answers and stays as it came, and the kernel drops the packet. The
 * kernel can't be left to judge an answer that has its old source: of a connected UDP
 * socket it takes what comes by any interface (udp_v4_early_demux()).
 */
static __always_inline bool is_forged(struct __sk_buff *skb, const struct packet *pkt,
				      const struct shunt_nat_flow *reply)
{
	__u32 expected = target_iface(reply);

	if (skb->ifindex == expected || skb->ifindex == LOOPBACK)
		return false;
	if (expected == LOOPBACK)
		return true; /* this host has the target */
	return pkt->family == AF_INET && is_strict(skb);
}

static __always_inline int move_to_ingress(struct __sk_buff *skb, __u32 ifindex, const __u8 *mac)
{
	if (bpf_skb_store_bytes(skb, 0, mac, 6, 0))
		return DROP;
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/*
 * An answer that came by the target's interface comes in by the one that the flow left
 * by, and the other way round: source validation, and sockets that are bound to an
 * interface, find what they expect. By a third interface an answer stays where it is.
 */
static __always_inline int move_to_expected_iface(struct __sk_buff *skb,
						  const struct shunt_nat_flow *reply, __u32 l2)
{
	__u32 expected = target_iface(reply);

	if (skb->ifindex == LOOPBACK || expected == reply->ifindex || !l2)
		return NEXT;
	if (reply->ifindex == LOOPBACK)
		return bpf_redirect_neigh(LOOPBACK, NULL, 0, 0);
	if (skb->ifindex == expected)
		return reply->raw ? NEXT : move_to_ingress(skb, reply->ifindex, reply->orig_mac);
	if (skb->ifindex == reply->ifindex && knows_target_mac(reply))
		return move_to_ingress(skb, expected, reply->macs);
	return NEXT;
}

#endif
