/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: the interface by which a reply comes in. The kernel or an nftables rule may check
 * that the route to a packet's source leads out by the interface at which the packet came in
 * (source validation). They look after NAT has put the old destination back as the
 * source. So NAT moves the reply to the interface where that source passes the check
 * exactly if the target would have passed the check where the reply came in.
 */
#ifndef SHUNT_NAT_BACK_H
#define SHUNT_NAT_BACK_H

#include "nat_maps.h"

#define RP_FILTER (8 - 1) /* IPV4_DEVCONF_RP_FILTER; the kernel numbers them from 1 */
#define STRICT 1

/* The interface by which the target is reached. A flow without a route of its own
 * leaves by the interface that routing chose. */
static __always_inline __u32 target_iface(const struct shunt_nat_flow *reply)
{
	return reply->oif ? reply->oif : reply->ifindex;
}

/* Whether rp_filter is strict where the packet is: the larger of net.ipv4.conf.all's and the
 * interface's value holds. */
static __noinline bool is_strict(struct __sk_buff *skb)
{
	const struct sk_buff *k = (const void *)skb;
	int all = BPF_CORE_READ(k, dev, nd_net.net, ipv4.devconf_all, data[RP_FILTER]);
	int own = BPF_CORE_READ(k, dev, ip_ptr, cnf.data[RP_FILTER]);

	return (all > own ? all : own) == STRICT;
}

/* Whether the flow knows its link layer address on the target's interface, so that a reply
 * can be moved there. */
static __always_inline bool knows_target_mac(const struct shunt_nat_flow *reply)
{
	return !reply->raw && (reply->macs[0] | reply->macs[1] | reply->macs[2] | reply->macs[3] |
			       reply->macs[4] | reply->macs[5]);
}

/* Called for a packet that leaves by the target's interface. Its source is this host's link
 * layer address there. */
static __always_inline void learn_target_mac(struct __sk_buff *skb, struct shunt_nat_flow *reply,
					     __u32 l2)
{
	if (l2 && skb->ifindex != reply->ifindex && skb->ifindex == reply->oif &&
	    !knows_target_mac(reply))
		bpf_skb_load_bytes(skb, 6, reply->macs, 6);
}

/*
 * Whether source validation would drop the packet, which claims to be from the target, at
 * this interface. Such a packet is no reply of the flow. NAT leaves it unchanged, and the
 * kernel drops it. NAT must decide this itself: after translation the kernel would deliver
 * the packet to a connected UDP socket without source validation (udp_v4_early_demux()).
 */
static __always_inline bool is_forged(struct __sk_buff *skb, const struct packet *pkt,
				      const struct shunt_nat_flow *reply)
{
	__u32 expected = target_iface(reply);

	if (skb->ifindex == expected || skb->ifindex == LOOPBACK_IFINDEX)
		return false;
	if (expected == LOOPBACK_IFINDEX)
		return true; /* the target is on this host */
	return pkt->family == AF_INET && is_strict(skb);
}

/* Sends the packet to the ingress of the interface, with this link layer destination. */
static __always_inline int move_to_ingress(struct __sk_buff *skb, __u32 ifindex, const __u8 *mac)
{
	if (bpf_skb_store_bytes(skb, 0, mac, 6, 0))
		return TC_DROP;
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/*
 * Moves a reply that came in by the target's interface to the interface that the flow's
 * packets left by before NAT, and the other way round. So source validation, and sockets
 * that are bound to an interface, find what they expect. A reply that came in by a third
 * interface stays there.
 */
static __always_inline int move_to_expected_iface(struct __sk_buff *skb,
						  const struct shunt_nat_flow *reply, __u32 l2)
{
	__u32 expected = target_iface(reply);

	if (skb->ifindex == LOOPBACK_IFINDEX || expected == reply->ifindex || !l2)
		return TC_NEXT;
	if (reply->ifindex == LOOPBACK_IFINDEX)
		return bpf_redirect_neigh(LOOPBACK_IFINDEX, NULL, 0, 0);
	if (skb->ifindex == expected)
		return reply->raw ? TC_NEXT : move_to_ingress(skb, reply->ifindex, reply->orig_mac);
	if (skb->ifindex == reply->ifindex && knows_target_mac(reply))
		return move_to_ingress(skb, expected, reply->macs);
	return TC_NEXT;
}

#endif
