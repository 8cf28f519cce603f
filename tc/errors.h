/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about packets that a router has sent: a client is gone, or a packet was too
 * big for a hop. An error goes to the source address of the packet: the service's, or a
 * client's if the router connects in the client's name. Without the mark this host would
 * forward the error. The mark makes routing deliver the error here, and the stack finds the
 * socket by the quoted packet.
 */
#ifndef SHUNT_ERRORS_H
#define SHUNT_ERRORS_H

#include "fragments.h"
#include "quote.h"

/* Swaps source and destination, as if the receiver had answered. */
static __always_inline void swap_direction(struct packet *pkt)
{
	__u32 *src = (__u32 *)pkt->src, *dst = (__u32 *)pkt->dst, word;
	__u16 port = pkt->sport;
	int i;

	pkt->sport = pkt->dport;
	pkt->dport = port;
#pragma unroll
	for (i = 0; i < 4; i++) {
		word = src[i];
		src[i] = dst[i];
		dst[i] = word;
	}
}

/* Sets *ret to the packet that would answer the quoted one. Returns false if the error is
 * not for the address that sent the quoted packet: then it is not for this host either. */
static __always_inline bool read_answer(struct __sk_buff *skb, const struct packet *pkt,
					struct packet *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	if (!is_error(skb, pkt) || !shunt_read_quote(skb, pkt, ret) ||
	    !same_address(pkt->dst, ret->src))
		return false;
	ret->ifindex = pkt->ifindex;
	swap_direction(ret);
	return true;
}

static __always_inline bool router_has_tcp(struct __sk_buff *skb, const struct packet *answer)
{
	struct bpf_sock *sk = lookup(skb, answer, IPPROTO_TCP, answer->dst, answer->dport);
	bool has;

	if (!sk)
		return false;
	has = has_flow(IPPROTO_TCP, sk->state) && tcp_transparent(sk, sk->state);
	bpf_sk_release(sk);
	return has;
}

/* Records the listener for the error, if the router answers from the listener itself. If it
 * has a reply socket at the destination's address, the stack finds this socket by itself. */
static __always_inline void remember_sender(struct __sk_buff *skb, const struct packet *answer,
					    const struct shunt_rule_counters *counters,
					    struct shunt_conf *conf, struct work *w)
{
	struct bpf_sock *sk = lookup(skb, answer, IPPROTO_UDP, answer->dst, answer->dport);
	bool transparent = false;

	if (sk) {
		transparent = udp_transparent(sk);
		bpf_sk_release(sk);
	}
	if (!transparent)
		remember_listener(skb, answer, counters, conf, w);
}

static __always_inline bool router_has_udp(struct __sk_buff *skb, const struct packet *answer,
					   struct shunt_conf *conf, struct work *w)
{
	struct shunt_udp_flow *entry;
	struct shunt_rule_counters *counters;
	bool router = false;

	if (is_connected(skb, answer, &router))
		return router;
	counters = find_udp_target(skb, answer, conf, w, &entry);
	if (!counters || !w->rule.to_port)
		return false;
	remember_sender(skb, answer, counters, conf, w);
	return true;
}

/* Returns 1 if the packet is an error about a packet that a router has sent. Not static: the
 * verifier checks the function once, not for each caller. */
__weak __attribute__((noinline)) int shunt_take_error(struct __sk_buff *skb,
						      const struct packet *pkt)
{
	struct shunt_conf *conf = conf_get();
	struct work *w = work_get();
	bool takes;

	if (!pkt || !conf || !w || !read_answer(skb, pkt, &w->answer))
		return 0;
	w->tick = tick_now();
	takes = w->answer.proto == IPPROTO_TCP ? router_has_tcp(skb, &w->answer)
					       : router_has_udp(skb, &w->answer, conf, w);
	if (takes)
		COUNT(steered_errors, 1);
	return takes;
}

#endif
