/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: the progress of TCP connections. A flow ends soon after a FIN or a RST, so a sender
 * that does not see the connection must not be able to forge one. A FIN or RST counts only if
 * its sequence number is the next one, according to the packets in its own direction or to
 * the acknowledgments in the other. The packet itself is forwarded in any case; its receiver
 * decides for itself (RFC 5961).
 */
#ifndef SHUNT_NAT_TCP_H
#define SHUNT_NAT_TCP_H

#include "nat_maps.h"

#define TCP_FIN 0x01
#define TCP_NEAR (1U << 24) /* bytes: numbers farther off are not of this connection */
#define TCP_GAP (1U << 20)  /* bytes that a FIN may be ahead of the last packet */

static __always_inline __u32 seq_of(const struct packet *pkt)
{
	return bpf_ntohl(*(const __be32 *)pkt->tcp_seqs);
}

static __always_inline __u32 ack_of(const struct packet *pkt)
{
	return bpf_ntohl(*(const __be32 *)(pkt->tcp_seqs + 4));
}

/* The sequence number behind the packet. */
static __always_inline __u32 end_of(const struct packet *pkt)
{
	return seq_of(pkt) + pkt->tcp_bytes + !!(pkt->tcp_flags & TCP_SYN) +
	       !!(pkt->tcp_flags & TCP_FIN);
}

/* Whether two sequence numbers are less than TCP_NEAR apart. */
static __always_inline bool is_near(__u32 a, __u32 b)
{
	return a - b + TCP_NEAR < 2 * TCP_NEAR;
}

/* Whether the packet's numbers are near those seen before in this direction. */
static __always_inline bool tcp_in_window(const struct shunt_nat_flow *flow,
					  const struct packet *pkt)
{
	if (!is_near(seq_of(pkt), flow->seq_end))
		return false;
	return !(pkt->tcp_flags & flow->tcp_flags & TCP_ACK) || is_near(ack_of(pkt), flow->ack);
}

/* Takes the packet's numbers as the first ones of this direction. */
static __always_inline void tcp_begin(struct shunt_nat_flow *flow, const struct packet *pkt)
{
	flow->seq_end = end_of(pkt);
	flow->ack = ack_of(pkt);
	flow->fin = 0;
	flow->tcp_flags = pkt->tcp_flags & ~(TCP_FIN | TCP_RST);
}

/* Takes over the packet's numbers where they are higher, and its flags. */
static __always_inline void tcp_advance(struct shunt_nat_flow *flow, const struct packet *pkt)
{
	__u32 end = end_of(pkt), ack = ack_of(pkt);

	if ((__s32)(end - flow->seq_end) > 0)
		flow->seq_end = end;
	if (pkt->tcp_flags & TCP_ACK &&
	    (!(flow->tcp_flags & TCP_ACK) || (__s32)(ack - flow->ack) > 0))
		flow->ack = ack;
	if (flow->tcp_flags != (flow->tcp_flags | pkt->tcp_flags))
		flow->tcp_flags |= pkt->tcp_flags;
}

/* Whether the packet has the next sequence number, according to either direction. */
static __always_inline bool tcp_is_next(const struct shunt_nat_flow *flow,
					const struct shunt_nat_flow *other,
					const struct packet *pkt)
{
	__u32 seq = seq_of(pkt);

	if (flow->tcp_flags && seq == flow->seq_end)
		return true;
	if (other->tcp_flags & TCP_ACK && seq == other->ack)
		return true;
	/* The refusal of a connection: its first packet in this direction. */
	return !flow->tcp_flags && other->tcp_flags & TCP_SYN && pkt->tcp_flags & TCP_ACK &&
	       ack_of(pkt) == other->seq_end;
}

/* Remembers a FIN that comes behind lost packets. It counts once the other end has acknowledged
 * exactly the number behind it. */
static __always_inline void remember_early_fin(struct shunt_nat_flow *flow,
					       const struct packet *pkt)
{
	if (pkt->tcp_flags & TCP_FIN && seq_of(pkt) - flow->seq_end < TCP_GAP &&
	    tcp_in_window(flow, pkt))
		flow->fin = end_of(pkt);
}

/* A SYN changes nothing before its SYN-ACK has come, because the SYN may be forged too. */
static __always_inline void tcp_track_syn(struct shunt_nat_flow *flow, struct shunt_nat_flow *other,
					  const struct packet *pkt)
{
	bool answer = pkt->tcp_flags & TCP_ACK && ack_of(pkt) == other->syn;

	if (answer && flow->syn == end_of(pkt))
		return; /* a retransmission */
	if (!flow->tcp_flags || answer)
		tcp_begin(flow, pkt);
	if (answer && other->seq_end != other->syn) {
		other->seq_end = other->syn;
		other->tcp_flags = TCP_SYN;
	}
	if (answer || !(pkt->tcp_flags & TCP_ACK))
		flow->syn = end_of(pkt);
}

/* Updates the flow for a packet with SYN, FIN or RST. Returns false if the packet was ignored. */
static __noinline bool tcp_track_flags(struct shunt_nat_flow *flow, const struct packet *pkt)
{
	struct shunt_nat_flow *other = flow_get(&flow->other);

	if (!other)
		return false;
	if (pkt->tcp_flags & (TCP_RST | TCP_FIN)) {
		if (!tcp_is_next(flow, other, pkt)) {
			remember_early_fin(flow, pkt);
			return false;
		}
		tcp_advance(flow, pkt);
		return true;
	}
	tcp_track_syn(flow, other, pkt);
	return true;
}

/* Updates the flow's TCP state. Returns false for a packet that may be forged and was ignored. */
static __always_inline bool tcp_track(struct shunt_nat_flow *flow, const struct packet *pkt)
{
	if (pkt->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
		if (!tcp_track_flags(flow, pkt))
			return false;
	} else if (!flow->tcp_flags) {
		tcp_begin(flow, pkt);
	} else if (tcp_in_window(flow, pkt)) {
		tcp_advance(flow, pkt);
	}
	if (flow->last_flags != pkt->tcp_flags)
		flow->last_flags = pkt->tcp_flags;
	return true;
}

/* Whether this direction has ended by a FIN that counts. other is the other direction. */
static __always_inline bool has_closed(const struct shunt_nat_flow *flow,
				       const struct shunt_nat_flow *other)
{
	return flow->tcp_flags & TCP_FIN ||
	       (flow->fin && other->tcp_flags & TCP_ACK && other->ack == flow->fin);
}

/* Whether a RST ended the connection: no packet came after it. After a forged RST, others do. */
static __always_inline bool was_reset(const struct shunt_nat_flow *orig,
				      const struct shunt_nat_flow *reply)
{
	if (orig->last_flags & TCP_RST)
		return orig->last_packet_ns >= reply->last_packet_ns;
	return reply->last_flags & TCP_RST && reply->last_packet_ns >= orig->last_packet_ns;
}

#endif
