/* SPDX-License-Identifier: GPL-2.0-only */
/* The addresses of a TCP socket. */
#ifndef SHUNT_ENDPOINT_BPF_H
#define SHUNT_ENDPOINT_BPF_H

#include <shunt/bpf/maps.bpf.h>

struct endpoints {
	__u8 local[16]; /* network byte order; IPv4 in the first four bytes */
	__u8 remote[16];
	__u16 local_port; /* host byte order */
	__u16 remote_port;
	__u16 family; /* AF_INET for v4-mapped peers too */
};

static __always_inline bool v4_mapped(const __u8 *a)
{
	const __u32 *w = (const __u32 *)a;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* Fills *e from the socket at kernel address sk; with zeroes if the socket is gone. */
static __always_inline void endpoints_of(const struct sock *sk, struct endpoints *e)
{
	const struct sock_common *c = &sk->__sk_common;
	__be32 *local = (__be32 *)e->local, *remote = (__be32 *)e->remote;

	__builtin_memset(e, 0, sizeof(*e));
	e->family = BPF_CORE_READ(c, skc_family);
	e->local_port = BPF_CORE_READ(c, skc_num);
	e->remote_port = bpf_ntohs(BPF_CORE_READ(c, skc_dport));
	if (e->family == AF_INET6) {
		BPF_CORE_READ_INTO(&e->local, c, skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&e->remote, c, skc_v6_daddr.in6_u.u6_addr8);
		if (!v4_mapped(e->remote))
			return;
		__builtin_memset(e->local, 0, sizeof(e->local));
		__builtin_memset(e->remote, 0, sizeof(e->remote));
		e->family = AF_INET;
	}
	*local = BPF_CORE_READ(c, skc_rcv_saddr);
	*remote = BPF_CORE_READ(c, skc_daddr);
}

#endif
