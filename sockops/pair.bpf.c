// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairing: proves that both ends of a connection are on this host, and lets
 * vouched pairs into the map as soon as they are established.
 *
 * The proof is a rendezvous of the two initial sequence numbers. The server's
 * request socket knows both when it answers the SYN (tcp_conn_request calls
 * RWND_INIT), the client when the SYN-ACK arrives, and no other handshake on
 * this host has the same two. An accepted socket inherits the cookie of its
 * request (inet_csk_clone_lock), so each end can learn the other's key.
 *
 * What does not meet stays plain TCP: remote peers, syncookies (RWND_INIT does
 * not fire) and Fast Open (data in the SYN moves the client's snd_nxt).
 */
#include "endpoint.bpf.h"
#include "prefix.bpf.h"

#define SK_PASS_OPS 1

/* handshakes under way; entries leave when the server is established */
struct shunt_isn_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct shunt_isn);
	__type(value, struct shunt_meet);
};
MAP(shunt_isn);

/* ports and prefixes that stay plain */
struct shunt_exclude_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_EXCLUDES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_exclude);
};
MAP(shunt_exclude);

struct excluding {
	struct endpoints e;
	__u32 found;
};

static long exclude_step(__u32 i, void *data)
{
	struct excluding *x = data;
	const struct shunt_exclude *entry = bpf_map_lookup_elem(&shunt_exclude, &i);

	if (!entry)
		return 1;
	if (entry->kind == EXCLUDE_PORT)
		x->found = (x->e.local_port >= entry->low && x->e.local_port <= entry->high) ||
			   (x->e.remote_port >= entry->low && x->e.remote_port <= entry->high);
	else if (entry->kind == EXCLUDE_PREFIX && entry->family == x->e.family)
		x->found = in_prefix(x->e.local, entry->addr, entry->len) ||
			   in_prefix(x->e.remote, entry->addr, entry->len);
	return x->found != 0;
}

/* Does the operator keep this connection off the fast path? */
static __always_inline bool excluded(const struct sock *sk)
{
	const struct shunt_conf *conf = conf_get();
	struct excluding x = {};

	if (!conf || !conf->excludes)
		return false;
	endpoints_of(sk, &x.e);
	bpf_loop(conf->excludes, exclude_step, &x, 0);
	return x.found;
}

static __always_inline struct sock *kernel_sk(struct bpf_sock_ops *ops)
{
	return BPF_CORE_READ((struct bpf_sock_ops_kern *)ops, sk);
}

static __always_inline bool is_mptcp(const struct sock *sk)
{
	const struct tcp_sock___mptcp *tp = (const void *)sk;

	return bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp);
}

/* A socket without a file belongs to the kernel: an MPTCP subflow, nfsd. */
static __always_inline bool in_kernel_use(const struct sock *sk)
{
	return !BPF_CORE_READ(sk, sk_socket, file);
}

static __always_inline bool has_ulp(const struct sock *sk)
{
	return BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_ops);
}

/* The server answers a SYN: leave word for the client. */
static __always_inline void server_answers(struct bpf_sock_ops *ops, __u8 admit)
{
	const struct tcp_request_sock *req = (const void *)kernel_sk(ops);
	const struct sock *listener = BPF_CORE_READ(req, req.req.__req_common.skc_listener);
	struct shunt_isn isn = {
		.client = BPF_CORE_READ(req, rcv_isn),
		.server = BPF_CORE_READ(req, snt_isn),
	};
	struct shunt_meet meet = { .admit = admit };

	if (!listener || in_kernel_use(listener) || is_mptcp(listener) || has_ulp(listener))
		return;
	meet.server = bpf_get_socket_cookie(ops);
	bpf_map_update_elem(&shunt_isn, &isn, &meet, BPF_ANY);
}

static __noinline void trace_pair(const struct sock *sk, bool active)
{
	struct endpoints e;

	endpoints_of(sk, &e);
	if (e.family == AF_INET6)
		bpf_printk("shunt: pair [%pI6]:%d <-> [%pI6]:%d op=%s", e.local, e.local_port,
			   e.remote, e.remote_port, active ? "active" : "passive");
	else
		bpf_printk("shunt: pair %pI4:%d <-> %pI4:%d op=%s", e.local, e.local_port,
			   e.remote, e.remote_port, active ? "active" : "passive");
}

/* Into the map at once, for a pair that is vouched for. */
static __always_inline bool enter(struct bpf_sock_ops *ops, __u64 cookie, bool active)
{
	if (bpf_sock_hash_update(ops, &shunt_socks, &cookie, BPF_NOEXIST)) {
		COUNT(map_full, 1);
		return false;
	}
	if (!active)
		COUNT(promoted, 1);
	return true;
}

/* Stores what is known of one end. A pair that is not vouched for goes on as
 * plain TCP, and the supervisor watches it (loader/run.c). */
static __always_inline void admit_end(struct bpf_sock_ops *ops, __u64 cookie, __u64 peer_cookie,
				      __u64 peer, bool active, bool vouched)
{
	struct shunt_conf *conf = conf_get();
	struct bpf_sock *sk = ops->sk;
	struct shunt_sk *st;

	if (!sk || !conf || conf->passing)
		return;
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return;
	st->cookie = cookie;
	st->peer_cookie = peer_cookie;
	st->peer = peer;
	st->vouched = vouched;
	st->active = active;
	if (vouched && !enter(ops, cookie, active)) {
		bpf_sk_storage_delete(&shunt_sk, sk);
		return;
	}
	if (!vouched && conf->idle) {
		conf->idle = 0;
		wake(EVENT_PAIRED);
	}
	if (conf->trace)
		trace_pair(kernel_sk(ops), active);
}

static __always_inline void client_established(struct bpf_sock_ops *ops, __u8 admit)
{
	struct shunt_isn isn = { .client = ops->snd_nxt - 1, .server = ops->rcv_nxt - 1 };
	struct shunt_meet *meet = bpf_map_lookup_elem(&shunt_isn, &isn);
	const struct sock *sk = kernel_sk(ops);

	if (!meet || meet->client || in_kernel_use(sk) || is_mptcp(sk) || has_ulp(sk) ||
	    excluded(sk))
		return;
	meet->client_sk = (__u64)sk;
	meet->client = bpf_get_socket_cookie(ops);
	admit_end(ops, meet->client, meet->server, 0, true,
		  admit == SHUNT_EAGER && meet->admit == SHUNT_EAGER);
}

static __always_inline void server_established(struct bpf_sock_ops *ops, __u8 admit)
{
	struct shunt_isn isn = { .client = ops->rcv_nxt - 1, .server = ops->snd_nxt - 1 };
	struct shunt_meet *found = bpf_map_lookup_elem(&shunt_isn, &isn);
	const struct sock *sk = kernel_sk(ops);
	struct shunt_meet meet;

	if (!found)
		return;
	meet = *found;
	bpf_map_delete_elem(&shunt_isn, &isn);
	if (!meet.client || meet.server != bpf_get_socket_cookie(ops) || is_mptcp(sk) || has_ulp(sk))
		return;
	admit_end(ops, meet.server, meet.client, meet.client_sk, false,
		  admit == SHUNT_EAGER && meet.admit == SHUNT_EAGER);
}

static __always_inline int pair(struct bpf_sock_ops *ops, __u8 admit)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_RWND_INIT:
		if (ops->state == TCP_NEW_SYN_RECV)
			server_answers(ops, admit);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		client_established(ops, admit);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		server_established(ops, admit);
		break;
	}
	return SK_PASS_OPS;
}

SEC("sockops")
int shunt_eager(struct bpf_sock_ops *ops)
{
	return pair(ops, SHUNT_EAGER);
}

SEC("sockops")
int shunt_proven(struct bpf_sock_ops *ops)
{
	return pair(ops, SHUNT_PROVEN);
}

char LICENSE[] SEC("license") __weak = "GPL";
