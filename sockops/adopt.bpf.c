// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections older than the load, whose handshake nobody saw. In a first pass
 * the established sockets of a network namespace are printed; two whose
 * addresses and whose initial sequence numbers mirror each other are the ends of
 * one connection (loader/adopt.c). In a second pass their pairs are registered.
 */
#include "eligible.h"

/* the client's cookie by the server's, for the second pass */
struct shunt_adopted_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHUNT_PAIRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
};
MAP(shunt_adopted);

static __always_inline void print(struct bpf_iter__tcp *ctx, const struct tcp_sock *tp, __u64 cookie)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct shunt_old old = {};
	struct endpoints e;

	endpoints_of(sk, &e);
	old.cookie = cookie;
	old.cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	/* Both move together (tcp_snd_una_update, tcp_rcv_nxt_update). */
	old.sent_isn = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	old.received_isn = BPF_CORE_READ(tp, rcv_nxt) - (__u32)BPF_CORE_READ(tp, bytes_received);
	__builtin_memcpy(old.local, e.local, 16);
	__builtin_memcpy(old.remote, e.remote, 16);
	old.local_port = e.local_port;
	old.remote_port = e.remote_port;
	old.family = e.family;
	bpf_seq_write(ctx->meta->seq, &old, sizeof(old));
}

static __always_inline void adopt(struct tcp_sock *tp, __u64 cookie, __u64 peer_cookie)
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
	const struct shunt_proof *proof;
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
	    is_mptcp(sk) || has_ulp(sk) || excluded(sk))
		return 0;
	st = bpf_sk_storage_get(&shunt_sk, tp, 0, 0);
	if (st)
		return 0;
	cookie = bpf_get_socket_cookie(tp);
	proof = proof_place(cookie);
	if (proof && proof->server == cookie)
		return 0; /* its handshake was seen */
	peer = bpf_map_lookup_elem(&shunt_adopted, &cookie);
	if (peer)
		adopt(tp, cookie, *peer);
	else
		print(ctx, tp, cookie);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
