/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: TCP and UDP packets out and back, and fragments of datagrams. */
#ifndef SHUNT_NAT_PACKETS_H
#define SHUNT_NAT_PACKETS_H

#include "nat_back.h"
#include "nat_rewrite.h"
#include "nat_route.h"

static __noinline long rewrite_out(struct __sk_buff *skb, const struct packet *pkt,
				   const struct shunt_nat_flow *out, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, out->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, out->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->dst, out->other.src);
}

static __noinline long rewrite_in(struct __sk_buff *skb, const struct packet *pkt,
				  const struct shunt_nat_flow *in, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, in->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, in->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->src, in->other.dst);
}

static __always_inline void trace(const struct packet *pkt, const struct shunt_nat_flow *out)
{
	const struct shunt_conf *conf = conf_get();
	const char *proto = pkt->proto == IPPROTO_TCP ? "tcp" : "udp";

	if (!conf || !conf->run.trace)
		return;
	if (pkt->family == AF_INET)
		bpf_printk("shunt: nat %s %pI4:%d -> %pI4:%d to %pI4:%d", proto, pkt->src, pkt->sport,
			   pkt->dst, pkt->dport, out->other.src, out->other.sport);
	else
		bpf_printk("shunt: nat %s [%pI6]:%d -> [%pI6]:%d to [%pI6]:%d", proto, pkt->src,
			   pkt->sport, pkt->dst, pkt->dport, out->other.src, out->other.sport);
}

static __always_inline bool is_request(const struct packet *pkt)
{
	return (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Does a known flow still hold for the packet? Else it is removed. */
static __always_inline bool still_holds(const struct shunt_nat_key *key, const struct packet *pkt,
					struct shunt_nat_flow *out)
{
	if (pkt->proto == IPPROTO_TCP)
		return !is_request(pkt) || reopen(key, pkt, out);
	return out->how != NAT_STRAIGHT || still_straight(key, pkt, out);
}

/* This flow's datagram has more fragments; some may have been left alone. */
static __noinline void remember_piece(const struct shunt_nat_key *key)
{
	struct draft *draft = draft_get();
	__u64 *early;

	if (!draft)
		return;
	bpf_map_update_elem(&shunt_nat_pieces, &draft->piece, key, BPF_ANY);
	early = bpf_map_lookup_elem(&shunt_nat_early, &draft->piece);
	if (!early)
		return;
	COUNT(nat_fragments, *early);
	bpf_map_delete_elem(&shunt_nat_early, &draft->piece);
}

/* A fragment of a datagram whose first one is not known to be a flow's. */
static __always_inline void note_early(const struct shunt_nat_key *piece)
{
	__u64 one = 1, *early = bpf_map_lookup_elem(&shunt_nat_early, piece);

	if (early)
		__sync_fetch_and_add(early, 1);
	else
		bpf_map_update_elem(&shunt_nat_early, piece, &one, BPF_ANY);
}

/* What a target on this host answers to a packet that was forwarded leaves by
 * another interface than lo, and never comes in again. What came in is
 * translated already. */
static __noinline bool answer_out(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
				  bool first, int *ret)
{
	struct shunt_nat_flow *in;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_IN);
	in = flow_get(&key);
	if (!in || in->how == NAT_STRAIGHT)
		return false;
	if (first)
		remember_piece(&key);
	note(in, pkt, skb->len);
	*ret = rewrite_in(skb, pkt, in, l2) ? DROP : NEXT;
	return true;
}

/* first: it is a first fragment, of the draft's piece */
static __noinline int out_flow(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
			       bool first)
{
	struct shunt_nat_key key;
	struct shunt_nat_flow *out, *in;
	struct draft *draft;
	int ret;

	if (skb->tc_index == NAT_DONE) {
		skb->tc_index = 0;
		in = answered_by(pkt);
		if (in) { /* we rewrote it a moment ago */
			note_way(skb, in, l2);
			return NEXT;
		}
	}
	key_of(&key, pkt, NAT_OUT);
	out = flow_get(&key);
	if (out && !still_holds(&key, pkt, out))
		out = NULL;
	if (!out && !skb->ingress_ifindex && skb->ifindex != LOOPBACK && port_matters(pkt->proto, pkt->sport) &&
	    answer_out(skb, pkt, l2, first, &ret))
		return ret;
	if (!out) {
		/* A connection that was there before the rule is left alone. If it is
		 * forwarded straight to a target, it keeps its port. */
		bool later = pkt->proto == IPPROTO_TCP && !is_request(pkt);

		if (later && (!skb->ingress_ifindex || pkt->tcp_flags & TCP_RST))
			return NEXT;
		draft = draft_get();
		if (!draft || find_fate(pkt, draft) == FATE_NONE ||
		    (later && draft->fate != FATE_STRAIGHT))
			return NEXT;
		out = make_flow(skb, &key, draft, !l2);
		if (!out)
			return draft->fate == FATE_STRAIGHT ? NEXT : DROP;
		if (out->how != NAT_STRAIGHT)
			trace(pkt, out);
	}
	note(out, pkt, skb->len);
	if (out->how == NAT_STRAIGHT)
		return NEXT;
	if (out->ifindex != pkt->ifindex)
		move_home(skb, out, !l2);
	if (first)
		remember_piece(&key);
	if (rewrite_out(skb, pkt, out, l2))
		return DROP;
	return send_on(skb, out, l2);
}

static __noinline int in_flow(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
			      bool first)
{
	struct shunt_nat_flow *in;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_IN);
	in = flow_get(&key);
	if (!in || is_forged(skb, pkt, in))
		return NEXT;
	note(in, pkt, skb->len);
	if (in->how == NAT_STRAIGHT)
		return NEXT;
	if (first)
		remember_piece(&key);
	if (rewrite_in(skb, pkt, in, l2))
		return DROP;
	return come_back(skb, in, l2);
}

/* --- fragments --------------------------------------------------------------------- */

/* One of a datagram's fragments: the first one has the ports and is a packet like
 * others, the rest go the same way. */
static __noinline int piece(struct __sk_buff *skb, struct packet *pkt, __u32 l2, __u8 direction)
{
	struct draft *draft = draft_get();
	struct shunt_nat_key *of;
	struct shunt_nat_flow *flow;
	bool out = direction == NAT_PIECE_OUT;

	if (!draft)
		return NEXT;
	if (pkt->first && parse_ports(skb, pkt->at, NO_END, pkt) != PARSED_PORTS)
		return NEXT;
	key_of(&draft->piece, pkt, direction);
	draft->piece.sport = pkt->fragment >> 16;
	draft->piece.dport = pkt->fragment;
	if (pkt->first)
		return out ? out_flow(skb, pkt, l2, true) : in_flow(skb, pkt, l2, true);
	of = bpf_map_lookup_elem(&shunt_nat_pieces, &draft->piece);
	flow = of ? flow_get(of) : NULL;
	if (!flow) {
		note_early(&draft->piece);
		return NEXT;
	}
	if (!out && is_forged(skb, pkt, flow))
		return NEXT;
	COUNT(nat_packets, 1);
	if (of->direction == NAT_OUT) {
		if (put_address(skb, pkt->family, l2,
				l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), 0, 0, pkt->dst,
				flow->other.src))
			return DROP;
		return send_on(skb, flow, l2);
	}
	if (put_address(skb, pkt->family, l2, l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC), 0,
			0, pkt->src, flow->other.dst))
		return DROP;
	return out ? NEXT : come_back(skb, flow, l2);
}

#endif
