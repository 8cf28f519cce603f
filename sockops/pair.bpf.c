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
#include "eligible.h"

#define SK_PASS_OPS 1

/* handshakes under way */
struct shunt_meet_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_MEETS);
	__type(key, __u32);
	__type(value, struct shunt_meet);
};
MAP(shunt_meet);

static __always_inline struct sock *kernel_sk(struct bpf_sock_ops *ops)
{
	return BPF_CORE_READ((struct bpf_sock_ops_kern *)ops, sk);
}

static __always_inline struct shunt_meet *meeting_place(__u32 client_isn, __u32 server_isn)
{
	__u32 place = (client_isn ^ (server_isn * 0x9e3779b1)) % SHUNT_MEETS;

	return bpf_map_lookup_elem(&shunt_meet, &place);
}

/* The server answers a SYN: leave word for the client. */
static __always_inline void server_answers(struct bpf_sock_ops *ops, __u8 admit)
{
	const struct tcp_request_sock *req = (const void *)kernel_sk(ops);
	const struct sock *listener = BPF_CORE_READ(req, req.req.__req_common.skc_listener);
	__u32 client_isn = BPF_CORE_READ(req, rcv_isn);
	__u32 server_isn = BPF_CORE_READ(req, snt_isn);
	struct shunt_meet *meet = meeting_place(client_isn, server_isn);
	__u64 cookie;

	if (!meet || !listener || in_kernel_use(listener) || is_mptcp(listener) ||
	    has_ulp(listener))
		return;
	cookie = bpf_get_socket_cookie(ops);
	bpf_spin_lock(&meet->lock);
	meet->client_isn = client_isn;
	meet->server_isn = server_isn;
	meet->admit = admit;
	meet->server = cookie;
	meet->client = 0;
	bpf_spin_unlock(&meet->lock);
}

/* The client's part: leaves its cookie, takes the server's; false if no server
 * on this host is in the same handshake. */
static __always_inline bool meet_server(__u32 client_isn, __u32 server_isn, __u64 cookie,
					const struct sock *sk, struct shunt_meet *ret)
{
	struct shunt_meet *meet = meeting_place(client_isn, server_isn);
	bool met = false;

	if (!meet)
		return false;
	bpf_spin_lock(&meet->lock);
	if (meet->server && meet->client_isn == client_isn && meet->server_isn == server_isn &&
	    !meet->client) {
		meet->client = cookie;
		meet->client_sk = (__u64)sk;
		ret->server = meet->server;
		ret->admit = meet->admit;
		met = true;
	}
	bpf_spin_unlock(&meet->lock);
	return met;
}

/* The server's part: takes the client's cookie and clears the place. */
static __always_inline bool meet_client(__u32 client_isn, __u32 server_isn, __u64 cookie,
					struct shunt_meet *ret)
{
	struct shunt_meet *meet = meeting_place(client_isn, server_isn);
	bool met = false;

	if (!meet)
		return false;
	bpf_spin_lock(&meet->lock);
	if (meet->server == cookie && meet->client_isn == client_isn &&
	    meet->server_isn == server_isn) {
		ret->client = meet->client;
		ret->client_sk = meet->client_sk;
		ret->admit = meet->admit;
		met = meet->client;
		meet->server = 0;
		meet->client = 0;
	}
	bpf_spin_unlock(&meet->lock);
	return met;
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

static __always_inline void trace_if_on(const struct sock *sk, bool active)
{
	const struct shunt_conf *conf = conf_get();

	if (conf && conf->trace)
		trace_pair(sk, active);
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

/*
 * Stores what is known of one end. A pair that is not vouched for goes on as
 * plain TCP, and the supervisor looks after it (loader/run.c); of such a pair
 * only the server's end is stored here, for most connections are short. The
 * client's follows when the pair is watched (sockops/watch.bpf.c).
 */
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
	st->passed_jiffies = bpf_jiffies64();
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
	trace_if_on(kernel_sk(ops), active);
}

static __always_inline void client_established(struct bpf_sock_ops *ops, __u8 admit)
{
	__u32 client_isn = ops->snd_nxt - 1, server_isn = ops->rcv_nxt - 1;
	const struct sock *sk = kernel_sk(ops);
	struct shunt_meet *place, meet = {};
	__u64 cookie;

	place = meeting_place(client_isn, server_isn);
	if (!place || place->client_isn != client_isn || in_kernel_use(sk) ||
	    is_mptcp(sk) || has_ulp(sk) || excluded(sk))
		return;
	cookie = bpf_get_socket_cookie(ops);
	if (!meet_server(client_isn, server_isn, cookie, sk, &meet))
		return;
	if (admit == SHUNT_EAGER && meet.admit == SHUNT_EAGER)
		admit_end(ops, cookie, meet.server, 0, true, true);
	else
		trace_if_on(sk, true);
}

static __always_inline void server_established(struct bpf_sock_ops *ops, __u8 admit)
{
	__u32 client_isn = ops->rcv_nxt - 1, server_isn = ops->snd_nxt - 1;
	__u64 cookie = bpf_get_socket_cookie(ops);
	const struct sock *sk = kernel_sk(ops);
	struct shunt_meet meet = {};

	if (!meet_client(client_isn, server_isn, cookie, &meet) || is_mptcp(sk) || has_ulp(sk))
		return;
	admit_end(ops, cookie, meet.client, meet.client_sk, false,
		  admit == SHUNT_EAGER && meet.admit == SHUNT_EAGER);
}

/* A socket that connects again, after connect(AF_UNSPEC): the kernel leaves it
 * in the map, with bytes of the old connection still queued. */
static __always_inline void forget(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct shunt_sk *st;
	__u64 cookie;

	if (!sk)
		return;
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, 0);
	if (!st)
		return;
	cookie = st->cookie;
	bpf_map_delete_elem(&shunt_socks, &cookie);
	bpf_sk_storage_delete(&shunt_sk, sk);
}

static __always_inline int pair(struct bpf_sock_ops *ops, __u8 admit)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		forget(ops);
		break;
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
