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

/* The established socket as the verifier knows it, for plain loads; NULL if it
 * may not be paired. */
static __always_inline const struct tcp_sock *known(struct bpf_sock_ops *ops)
{
	const struct tcp_sock___mptcp *mptcp;
	struct bpf_sock *sk = ops->sk;
	const struct tcp_sock *tp;

	tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (!tp || tp->inet_conn.icsk_ulp_ops)
		return NULL;
	mptcp = (const void *)tp;
	if (bpf_core_field_exists(mptcp->is_mptcp) && mptcp->is_mptcp)
		return NULL;
	return tp;
}

static __always_inline struct shunt_meet *meeting_place(__u32 client_isn, __u32 server_isn)
{
	__u32 place = (client_isn ^ (server_isn * 0x9e3779b1)) % SHUNT_MEETS;

	return bpf_map_lookup_elem(&shunt_meet, &place);
}

/*
 * Nobody locks a place. Who reads it proves by a sum over what he knows of the
 * handshake and over what he read that all of it is of this handshake, and was not
 * written by two at once.
 */
static __always_inline __u64 meet_check(__u32 client_isn, __u32 server_isn, __u64 a, __u64 b)
{
	return check_sum((__u64)client_isn << 32 | server_isn, a, b, 0);
}

static __always_inline bool unvouchable(const struct tcp_request_sock *req)
{
	const struct sock *listener = BPF_CORE_READ(req, req.req.__req_common.skc_listener);

	return in_kernel_use(listener) || has_ulp(listener);
}

/* What pairing needs of a request. Each read is a call, so they are few. */
struct request {
	__u32 client_isn, server_isn;
	bool mptcp; /* of an MPTCP listener: route_req marks all its requests */
};

static __always_inline void read_request(const struct tcp_request_sock *req, struct request *ret)
{
	const __u32 client = bpf_core_field_offset(req->rcv_isn);
	__u32 isn[2];

	if (bpf_core_field_offset(req->snt_isn) == client + 4) {
		bpf_probe_read_kernel(isn, sizeof(isn), (const void *)req + client);
		ret->client_isn = isn[0];
		ret->server_isn = isn[1];
	} else {
		ret->client_isn = BPF_CORE_READ(req, rcv_isn);
		ret->server_isn = BPF_CORE_READ(req, snt_isn);
	}
	ret->mptcp = bpf_core_field_exists(req->is_mptcp) && BPF_CORE_READ(req, is_mptcp);
}

/* The server answers a SYN: leave word for the client. */
static __always_inline void server_answers(struct bpf_sock_ops *ops, __u8 admit)
{
	const struct tcp_request_sock *req = (const void *)kernel_sk(ops);
	struct shunt_meet *meet;
	struct request r;
	__u64 cookie;

	read_request(req, &r);
	meet = meeting_place(r.client_isn, r.server_isn);
	if (!meet || r.mptcp)
		return;
	/* With NAT between the two, the client knows other addresses. */
	if (excluded((const struct sock *)req))
		return;
	/* Under 'proven' its children show it in time. */
	if (admit == SHUNT_EAGER && unvouchable(req))
		return;
	cookie = bpf_get_socket_cookie(ops);
	meet->client_isn = r.client_isn;
	meet->admit = admit;
	meet->client = 0;
	meet->check = meet_check(r.client_isn, r.server_isn, cookie, admit);
	meet->server = cookie;
}

/* The client's part: leaves its cookie, takes the server's; false if no server
 * on this host is in the same handshake. */
static __always_inline bool meet_server(__u32 client_isn, __u32 server_isn, __u64 cookie,
					__u64 sk, struct shunt_meet *ret)
{
	volatile struct shunt_meet *meet = meeting_place(client_isn, server_isn);

	if (!meet)
		return false;
	ret->server = meet->server;
	ret->admit = meet->admit;
	if (!ret->server || meet->client ||
	    meet->check != meet_check(client_isn, server_isn, ret->server, ret->admit))
		return false;
	meet->client_sk = sk;
	meet->client_check = meet_check(client_isn, server_isn, cookie, sk);
	meet->client = cookie;
	return true;
}

/* The server's part: takes the client's cookie and clears the place. */
static __always_inline bool meet_client(__u32 client_isn, __u32 server_isn, __u64 cookie,
					struct shunt_meet *ret)
{
	volatile struct shunt_meet *meet = meeting_place(client_isn, server_isn);

	if (!meet || meet->server != cookie)
		return false;
	ret->admit = meet->admit;
	if (meet->check != meet_check(client_isn, server_isn, cookie, ret->admit))
		return false;
	ret->client = meet->client;
	ret->client_sk = meet->client_sk;
	meet->server = 0;
	return ret->client && meet->client_check == meet_check(client_isn, server_isn,
							       ret->client, ret->client_sk);
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
 * plain TCP, and the supervisor looks after it (loader/bypass/supervisor.c); of such a pair
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
	if (conf->idle) {
		conf->idle = 0;
		wake(EVENT_PAIRED);
	}
}

/* Memory that was a socket's has another's cookie, or a state of its end. */
static __always_inline bool established(__u64 address, __u64 cookie)
{
	const struct sock *sk = (const struct sock *)address;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED;
}

/*
 * Most connections are short, and socket storage takes as long as all the rest
 * here: it has to wait for the second segment with data. RTT_CB tells, when what
 * the server answered is acknowledged. It stays on, for someone else may want it
 * by then. False if there is no room for the proof.
 */
static __always_inline bool keep_proof(struct bpf_sock_ops *ops, __u64 cookie,
				       const struct shunt_meet *meet)
{
	struct shunt_proof *proof = proof_place(cookie);
	__u64 sk = (__u64)kernel_sk(ops);

	if (!proof || (proof->server && established(proof->server_sk, proof->server)))
		return false;
	proof->client = meet->client;
	proof->server_sk = sk;
	proof->client_sk = meet->client_sk;
	proof->check = check_sum(cookie, meet->client, sk, meet->client_sk);
	proof->server = cookie;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
	return true;
}

static __always_inline void server_heard(struct bpf_sock_ops *ops)
{
	volatile struct shunt_proof *proof;
	__u64 cookie, client, client_sk;

	if (ops->data_segs_in < 2)
		return;
	cookie = bpf_get_socket_cookie(ops);
	proof = proof_place(cookie);
	if (!proof || proof->server != cookie)
		return;
	client = proof->client;
	client_sk = proof->client_sk;
	if (proof->check != check_sum(cookie, client, proof->server_sk, client_sk))
		return;
	proof->server = 0;
	admit_end(ops, cookie, client, client_sk, false, false);
}

static __always_inline void client_established(struct bpf_sock_ops *ops, __u8 admit)
{
	__u32 client_isn = ops->snd_nxt - 1, server_isn = ops->rcv_nxt - 1;
	struct shunt_meet *place, meet = {};
	const struct tcp_sock *tp;
	const struct sock *sk;
	__u64 cookie;

	place = meeting_place(client_isn, server_isn);
	if (!place || place->client_isn != client_isn)
		return;
	tp = known(ops);
	if (!tp || !tp->inet_conn.icsk_inet.sk.sk_socket ||
	    !tp->inet_conn.icsk_inet.sk.sk_socket->file)
		return;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (excluded(sk))
		return;
	cookie = bpf_get_socket_cookie(ops);
	if (!meet_server(client_isn, server_isn, cookie, (__u64)kernel_sk(ops), &meet))
		return;
	if (admit == SHUNT_EAGER && meet.admit == SHUNT_EAGER)
		admit_end(ops, cookie, meet.server, 0, true, true);
	trace_if_on(sk, true);
}

static __always_inline void server_established(struct bpf_sock_ops *ops, __u8 admit)
{
	__u32 client_isn = ops->rcv_nxt - 1, server_isn = ops->snd_nxt - 1;
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct shunt_meet meet = {};
	const struct tcp_sock *tp;
	bool vouched;

	if (!meet_client(client_isn, server_isn, cookie, &meet))
		return;
	tp = known(ops);
	if (!tp)
		return;
	vouched = admit == SHUNT_EAGER && meet.admit == SHUNT_EAGER;
	if (vouched || !keep_proof(ops, cookie, &meet))
		admit_end(ops, cookie, meet.client, meet.client_sk, false, vouched);
	trace_if_on(&tp->inet_conn.icsk_inet.sk, false);
}

/* A socket that connects again, after connect(AF_UNSPEC): the kernel leaves it
 * in the map, with bytes of the old connection still queued. */
static __always_inline void forget(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	const struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	struct shunt_proof *proof;
	struct shunt_sk *st;
	__u64 cookie;

	if (!tp)
		return;
	cookie = tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
	if (!cookie) /* what was paired has one */
		return;
	proof = proof_place(cookie);
	if (proof && proof->server == cookie)
		proof->server = 0;
	bpf_map_delete_elem(&shunt_slot, &cookie);
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, 0);
	if (!st)
		return;
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
	case BPF_SOCK_OPS_RTT_CB:
		server_heard(ops);
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
