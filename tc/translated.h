/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the source of a packet that this host sends was changed on the way to the
 * interface: MASQUERADE, SNAT. Steering such a packet would make connection tracking count
 * its flow a second time, under the changed source, and translate the router's answer for
 * the wrong one of the two: the client would wait in vain.
 */
#ifndef SHUNT_TRANSLATED_H
#define SHUNT_TRANSLATED_H

#include "packet.h"

#define SOCK_RAW 3

/* All of it is read first: the verifier takes no address of a socket's field. */
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
	if (pkt->family == AF_INET) /* also of sockets of IPv6 */
		return v4 == src[0];
	return a == src[0] && b == src[1] && c == src[2] && d == src[3];
}

/* Of UDP, only a connected socket has an address that its packets are bound to have. */
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
