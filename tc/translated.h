/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells whether MASQUERADE or SNAT has changed the source of a packet that this host sends.
 * If such a packet were steered, connection tracking would make a second entry for the flow,
 * under the changed source, and translate the router's answer by the wrong entry. The client
 * would get no answer.
 */
#ifndef SHUNT_TRANSLATED_H
#define SHUNT_TRANSLATED_H

#include "packet.h"

#define SOCK_RAW 3

/* Whether the socket has the packet's source address. Reads all fields first, because the
 * verifier refuses the address of a socket's field. */
static __always_inline bool has_source(const struct bpf_sock *sk, const struct packet *pkt)
{
	const __u32 *src = (const __u32 *)pkt->src;
	__u32 v4 = sk->src_ip4, a = sk->src_ip6[0], b = sk->src_ip6[1], c = sk->src_ip6[2],
	      d = sk->src_ip6[3];

	barrier_var(v4);
	barrier_var(a);
	barrier_var(b);
	barrier_var(c);
	barrier_var(d);
	if (pkt->family == AF_INET) /* IPv6 sockets can send IPv4, too */
		return v4 == src[0];
	return a == src[0] && b == src[1] && c == src[2] && d == src[3];
}

/* Compares the packet with its socket. A UDP socket has a fixed source address only if it
 * is connected. */
static __always_inline bool is_translated(struct __sk_buff *skb, const struct packet *pkt,
					  int proto)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->type == SOCK_RAW)
		return false;
	if (sk->src_port != pkt->sport)
		return true;
	return (proto == IPPROTO_TCP || sk->dst_port) && !has_source(sk, pkt);
}

#endif
