/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: whether a socket of this host already uses the addresses and ports of a new flow. */
#ifndef SHUNT_NAT_SOCKETS_H
#define SHUNT_NAT_SOCKETS_H

#include "nat_maps.h"

/* Whether a TCP socket has this connection. */
static __noinline bool tcp_socket_has(struct __sk_buff *skb, struct bpf_sock_tuple *t,
				      const struct shunt_nat_key *reply_key)
{
	struct bpf_sock *sk;
	bool has;

	if (reply_key->family == AF_INET)
		sk = bpf_skc_lookup_tcp(skb, t, sizeof(t->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(skb, t, sizeof(t->ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state != TCP_LISTEN;
	bpf_sk_release(sk);
	return has;
}

/* Whether a connected UDP socket has this flow. */
static __noinline bool udp_socket_has(struct __sk_buff *skb, struct bpf_sock_tuple *t,
				      const struct shunt_nat_key *reply_key)
{
	struct bpf_sock *sk;
	bool has;

	if (reply_key->family == AF_INET)
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state == TCP_ESTABLISHED; /* connected */
	bpf_sk_release(sk);
	return has;
}

/* Whether a socket of this host has a connection whose packets come in with these
 * addresses and ports. */
static __noinline bool socket_has(struct __sk_buff *skb, const struct shunt_nat_key *to)
{
	struct bpf_sock_tuple t = {};

	if (to->family == AF_INET) {
		__builtin_memcpy(&t.ipv4.saddr, to->src, 4);
		__builtin_memcpy(&t.ipv4.daddr, to->dst, 4);
		t.ipv4.sport = bpf_htons(to->sport);
		t.ipv4.dport = bpf_htons(to->dport);
	} else {
		__builtin_memcpy(t.ipv6.saddr, to->src, 16);
		__builtin_memcpy(t.ipv6.daddr, to->dst, 16);
		t.ipv6.sport = bpf_htons(to->sport);
		t.ipv6.dport = bpf_htons(to->dport);
	}
	return to->proto == IPPROTO_TCP ? tcp_socket_has(skb, &t, to) : udp_socket_has(skb, &t, to);
}

/* Whether a socket of this host already uses the flow's addresses and ports behind NAT. The
 * socket would get the flow's replies; or, for a forwarded flow to a target on this
 * host, the flow's packets. */
static __always_inline bool reply_tuple_in_use(struct __sk_buff *skb,
					       const struct shunt_nat_key *reply_key,
					       bool forwarded)
{
	struct shunt_nat_key sent = {
		.sport = reply_key->dport,
		.dport = reply_key->sport,
		.family = reply_key->family,
		.proto = reply_key->proto,
	};

	if (socket_has(skb, reply_key))
		return true;
	__builtin_memcpy(sent.src, reply_key->dst, 16);
	__builtin_memcpy(sent.dst, reply_key->src, 16);
	return forwarded && socket_has(skb, &sent);
}

#endif
