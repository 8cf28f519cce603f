/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: translation of TCP and UDP packets in both directions, and of fragments. */
#ifndef SHUNT_NAT_PACKETS_H
#define SHUNT_NAT_PACKETS_H

#include "nat_back.h"
#include "nat_rewrite.h"
#include "nat_route.h"

/* Gives the packet the target's address and port. Returns 0, or not 0 after an error. */
static __noinline long rewrite_original(struct __sk_buff *skb, const struct packet *pkt,
					const struct shunt_nat_flow *orig, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, orig->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, orig->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->dst, orig->other.src);
}

/* Gives the reply the old destination as its source. Returns 0, or not 0 after an error. */
static __noinline long rewrite_reply(struct __sk_buff *skb, const struct packet *pkt,
				     const struct shunt_nat_flow *reply, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, reply->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, reply->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->src, reply->other.dst);
}

static __always_inline void trace(const struct packet *pkt, const struct shunt_nat_flow *orig)
{
	const struct shunt_conf *conf = conf_get();
	const char *proto = pkt->proto == IPPROTO_TCP ? "tcp" : "udp";

	if (!conf || !conf->run.trace)
		return;
	if (pkt->family == AF_INET)
		bpf_printk("shunt: nat %s %pI4:%d -> %pI4:%d to %pI4:%d", proto, pkt->src,
			   pkt->sport, pkt->dst, pkt->dport, orig->other.src, orig->other.sport);
	else
		bpf_printk("shunt: nat %s [%pI6]:%d -> [%pI6]:%d to [%pI6]:%d", proto, pkt->src,
			   pkt->sport, pkt->dst, pkt->dport, orig->other.src, orig->other.sport);
}

static __always_inline bool is_request(const struct packet *pkt)
{
	return (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Whether a known flow still applies to the packet. If not, the flow has been removed. */
static __always_inline bool flow_still_holds(const struct shunt_nat_key *key,
					     const struct packet *pkt, struct shunt_nat_flow *orig)
{
	if (pkt->proto == IPPROTO_TCP)
		return !is_request(pkt) || recheck_on_syn(key, pkt, orig);
	return orig->forward_action != NAT_UNTRANSLATED || recheck_untranslated(key, pkt, orig);
}

/* Remembers which flow the further fragments of a datagram belong to. Fragments that came too
 * early have passed untranslated, and are counted now. */
static __noinline void remember_datagram(const struct shunt_nat_key *key)
{
	struct scratch *scratch = scratch_get();
	__u64 *out_of_order;

	if (!scratch)
		return;
	bpf_map_update_elem(&shunt_nat_fragments, &scratch->datagram, key, BPF_ANY);
	out_of_order = bpf_map_lookup_elem(&shunt_nat_out_of_order, &scratch->datagram);
	if (!out_of_order)
		return;
	COUNT(nat_fragments, *out_of_order);
	bpf_map_delete_elem(&shunt_nat_out_of_order, &scratch->datagram);
}

/* Counts a fragment whose datagram's first fragment has not been seen. */
static __always_inline void count_out_of_order(const struct shunt_nat_key *datagram)
{
	__u64 one = 1, *out_of_order = bpf_map_lookup_elem(&shunt_nat_out_of_order, datagram);

	if (out_of_order)
		__sync_fetch_and_add(out_of_order, 1);
	else
		bpf_map_update_elem(&shunt_nat_out_of_order, datagram, &one, BPF_ANY);
}

/* Translates the reply of a target on this host to a forwarded packet. The reply leaves by
 * a real interface and passes no ingress hook. Replies that came in by an interface have been
 * translated there. Returns whether the packet was one; *ret is its verdict then. */
static __noinline bool reply_at_egress(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
				       bool first, int *ret)
{
	struct shunt_nat_flow *reply;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_DIR_REPLY);
	reply = flow_get(&key);
	if (!reply || reply->forward_action == NAT_UNTRANSLATED)
		return false;
	if (first)
		remember_datagram(&key);
	account_packet(reply, pkt, skb->len);
	*ret = rewrite_reply(skb, pkt, reply, l2) ? TC_DROP : TC_NEXT;
	return true;
}

/* Whether the packet has been translated and redirected, and passes egress again. */
static __always_inline bool passes_again(struct __sk_buff *skb, const struct packet *pkt, __u32 l2)
{
	struct shunt_nat_flow *reply;

	if (skb->tc_index != NAT_DONE)
		return false;
	skb->tc_index = 0;
	reply = reply_flow_of(pkt);
	if (!reply)
		return false;
	learn_target_mac(skb, reply, l2);
	return true;
}

/* The flow for a packet that has none. Returns NULL if the packet gets no flow; *ret is its
 * verdict then. */
static __always_inline struct shunt_nat_flow *new_flow(struct __sk_buff *skb,
						       const struct packet *pkt,
						       const struct shunt_nat_key *key, __u32 l2,
						       int *ret)
{
	/* A connection that was there before the rule is left alone. A forwarded one whose
	 * own destination is a target gets an untranslated flow, so that no other flow takes
	 * its port. */
	bool later = pkt->proto == IPPROTO_TCP && !is_request(pkt);
	struct shunt_nat_flow *orig;
	struct scratch *scratch;

	*ret = TC_NEXT;
	if (later && (!skb->ingress_ifindex || pkt->tcp_flags & TCP_RST))
		return NULL;
	scratch = scratch_get();
	if (!scratch || find_disposition(pkt, scratch) == DISP_IGNORE ||
	    (later && scratch->disposition != DISP_TRACK))
		return NULL;
	orig = make_flow(skb, key, scratch, !l2);
	if (!orig && scratch->disposition != DISP_TRACK)
		*ret = TC_DROP;
	if (orig && orig->forward_action != NAT_UNTRANSLATED)
		trace(pkt, orig);
	return orig;
}

/* Whether the packet may be the reply of a target on this host. */
static __always_inline bool may_be_reply(struct __sk_buff *skb, const struct packet *pkt)
{
	return !skb->ingress_ifindex && skb->ifindex != LOOPBACK_IFINDEX &&
	       port_is_of_rules(pkt->proto, pkt->sport);
}

/* Translates a packet that leaves, if it has a flow or gets one. With first, the packet is the first
 * fragment of scratch->datagram. Returns what the program returns. */
static __noinline int translate_original(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
					 bool first)
{
	struct shunt_nat_flow *orig;
	struct shunt_nat_key key;
	int ret;

	if (passes_again(skb, pkt, l2))
		return TC_NEXT;
	key_of(&key, pkt, NAT_DIR_ORIGINAL);
	orig = flow_get(&key);
	if (orig && !flow_still_holds(&key, pkt, orig))
		orig = NULL;
	if (!orig && may_be_reply(skb, pkt) && reply_at_egress(skb, pkt, l2, first, &ret))
		return ret;
	if (!orig)
		orig = new_flow(skb, pkt, &key, l2, &ret);
	if (!orig)
		return ret;
	account_packet(orig, pkt, skb->len);
	if (orig->forward_action == NAT_UNTRANSLATED)
		return TC_NEXT;
	if (orig->ifindex != pkt->ifindex)
		update_orig_iface(skb, orig, !l2);
	if (first)
		remember_datagram(&key);
	if (rewrite_original(skb, pkt, orig, l2))
		return TC_DROP;
	return forward(skb, orig, l2);
}

/* Translates a packet that comes in, if it is a reply. With first, as above. */
static __noinline int translate_reply(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
				      bool first)
{
	struct shunt_nat_flow *reply;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_DIR_REPLY);
	reply = flow_get(&key);
	if (!reply || is_forged(skb, pkt, reply))
		return TC_NEXT;
	account_packet(reply, pkt, skb->len);
	if (reply->forward_action == NAT_UNTRANSLATED)
		return TC_NEXT;
	if (first)
		remember_datagram(&key);
	if (rewrite_reply(skb, pkt, reply, l2))
		return TC_DROP;
	return move_to_expected_iface(skb, reply, l2);
}

/* --- fragments --------------------------------------------------------------------- */

/* Translates a fragment. The first one carries the ports and is translated like a whole packet.
 * The others belong to the flow that the first one has shown. */
static __noinline int translate_fragment(struct __sk_buff *skb, struct packet *pkt, __u32 l2,
					 __u8 direction)
{
	struct scratch *scratch = scratch_get();
	struct shunt_nat_key *flow_key;
	struct shunt_nat_flow *flow;
	bool egress = direction == NAT_DIR_EGRESS_FRAGMENT;

	if (!scratch)
		return TC_NEXT;
	if (pkt->first && parse_ports(skb, pkt->at, NO_END, pkt) != PARSED_PORTS)
		return TC_NEXT;
	key_of(&scratch->datagram, pkt, direction);
	scratch->datagram.sport = pkt->fragment >> 16;
	scratch->datagram.dport = pkt->fragment;
	if (pkt->first)
		return egress ? translate_original(skb, pkt, l2, true)
			      : translate_reply(skb, pkt, l2, true);
	flow_key = bpf_map_lookup_elem(&shunt_nat_fragments, &scratch->datagram);
	flow = flow_key ? flow_get(flow_key) : NULL;
	if (!flow) {
		count_out_of_order(&scratch->datagram);
		return TC_NEXT;
	}
	if (!egress && is_forged(skb, pkt, flow))
		return TC_NEXT;
	COUNT(nat_packets, 1);
	if (flow_key->direction == NAT_DIR_ORIGINAL) {
		if (put_address(skb, pkt->family, l2,
				l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), 0, 0, pkt->dst,
				flow->other.src))
			return TC_DROP;
		return forward(skb, flow, l2);
	}
	if (put_address(skb, pkt->family, l2, l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC),
			0, 0, pkt->src, flow->other.dst))
		return TC_DROP;
	return egress ? TC_NEXT : move_to_expected_iface(skb, flow, l2);
}

#endif
