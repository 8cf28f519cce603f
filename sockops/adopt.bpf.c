// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs connections that are older than the load, so that no program saw their handshake.
 * The first run over a network namespace prints its established sockets. Two sockets are
 * the ends of one connection if their addresses and their initial sequence numbers mirror
 * each other (loader/bypass/adopt.c). The second run makes the storage of these pairs.
 */
#include "eligible.h"

/* the client's cookie by the server's cookie: what the second run pairs */
struct shunt_adopted_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHUNT_PAIRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
};
MAP(shunt_adopted);

/* The first run: prints the socket's addresses and initial sequence numbers. */
static __always_inline void print_conn(struct bpf_iter__tcp *ctx, const struct tcp_sock *tp,
				       __u64 cookie)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct shunt_older_conn conn = {};
	struct endpoints e;

	endpoints_of(sk, &e);
	conn.cookie = cookie;
	conn.cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	/* The kernel advances the two of each line together (tcp_snd_una_update,
	 * tcp_rcv_nxt_update). */
	conn.sent_isn = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	conn.received_isn = BPF_CORE_READ(tp, rcv_nxt) - (__u32)BPF_CORE_READ(tp, bytes_received);
	__builtin_memcpy(conn.local, e.local, 16);
	__builtin_memcpy(conn.remote, e.remote, 16);
	conn.local_port = e.local_port;
	conn.remote_port = e.remote_port;
	conn.family = e.family;
	bpf_seq_write(ctx->meta->seq, &conn, sizeof(conn));
}

/* The second run: makes the storage of one end. */
static __always_inline void adopt_end(struct tcp_sock *tp, __u64 cookie, __u64 peer_cookie)
{
	struct shunt_sk *st = bpf_sk_storage_get(&shunt_sk, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!st || st->cookie)
		return;
	st->peer_cookie = peer_cookie;
	st->cookie = cookie;
}

SEC("iter/tcp")
int shunt_adopt(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	const struct shunt_pending_pair *pending;
	struct shunt_sk *st;
	struct tcp_sock *tp;
	__u64 cookie, *peer;
	struct sock *sk;

	if (!skc)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	sk = (struct sock *)tp;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED || in_kernel_use(sk) ||
	    is_mptcp(sk) || has_ulp(sk) || is_excluded(sk))
		return 0;
	st = bpf_sk_storage_get(&shunt_sk, tp, 0, 0);
	if (st)
		return 0;
	cookie = bpf_get_socket_cookie(tp);
	pending = pending_slot(cookie);
	if (pending && pending->server == cookie)
		return 0; /* its handshake was seen: paired already */
	peer = bpf_map_lookup_elem(&shunt_adopted, &cookie);
	if (peer)
		adopt_end(tp, cookie, *peer);
	else
		print_conn(ctx, tp, cookie);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
