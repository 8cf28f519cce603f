// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairing: finds connections whose two ends are both on this host. Pairs under 'eager'
 * admission enter the map as soon as they are established.
 *
 * Both ends of a handshake know its two initial sequence numbers, and no other handshake
 * on this host has the same two. The server's request socket knows both when it answers
 * the SYN (tcp_conn_request calls RWND_INIT), the client when the SYN-ACK arrives. Each
 * end leaves its cookie in shunt_handshake, in the slot that the two numbers select, and
 * finds there the other end's cookie, which is the key of that end in the map. The server can do that before
 * its socket exists, because an accepted socket inherits the cookie of its request
 * (inet_csk_clone_lock).
 *
 * These connections find no second end and stay plain TCP: those to another host, those
 * made by a SYN cookie (RWND_INIT does not fire) and by Fast Open (data in the SYN moves
 * the client's snd_nxt).
 */
#include "eligible.h"

#define SK_PASS_OPS 1

/* handshakes under way */
struct shunt_handshake_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_HANDSHAKES);
	__type(key, __u32);
	__type(value, struct shunt_handshake);
};
MAP(shunt_handshake);

static __always_inline struct sock *kernel_sk(struct bpf_sock_ops *ops)
{
	return BPF_CORE_READ((struct bpf_sock_ops_kern *)ops, sk);
}

/* The established socket as a pointer that the verifier knows, so that its fields can be
 * loaded without a call. NULL if the socket may not be paired. */
static __always_inline const struct tcp_sock *pairable_sock(struct bpf_sock_ops *ops)
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

static __always_inline struct shunt_handshake *handshake_slot(__u32 client_isn, __u32 server_isn)
{
	__u32 slot = (client_isn ^ (server_isn * 0x9e3779b1)) % SHUNT_HANDSHAKES;

	return bpf_map_lookup_elem(&shunt_handshake, &slot);
}

/*
 * I4. Slots have no lock. The reader of a slot computes this checksum over the two sequence
 * numbers that it knows and what it has read of one end: cookie, address of the socket (0 for
 * the server) and admission. If the checksum matches the stored one, the values belong to this
 * handshake, and no other handshake overwrote them halfway.
 */
static __always_inline __u64 handshake_checksum(__u32 client_isn, __u32 server_isn, __u64 cookie,
						__u64 sk, __u16 admit)
{
	return checksum((__u64)client_isn << 32 | server_isn, cookie, sk, admit);
}

static __always_inline bool listener_ineligible(const struct tcp_request_sock *req)
{
	const struct sock *listener = BPF_CORE_READ(req, req.req.__req_common.skc_listener);

	return in_kernel_use(listener) || has_ulp(listener);
}

/* The fields of a request socket that pairing uses. Each one costs a helper call. */
struct syn_request {
	__u32 client_isn, server_isn;
	bool mptcp; /* the listener uses MPTCP: route_req() marks all its requests */
};

/* Reads the two sequence numbers by one call where they are neighbours. */
static __always_inline void read_syn_request(const struct tcp_request_sock *req,
					     struct syn_request *ret)
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

/* The server answers a SYN: stores its part of the handshake for the client to find. */
static __always_inline void handshake_begin(struct bpf_sock_ops *ops, __u8 admit)
{
	const struct tcp_request_sock *req = (const void *)kernel_sk(ops);
	struct shunt_handshake *handshake;
	struct syn_request r;
	__u64 cookie;

	read_syn_request(req, &r);
	handshake = handshake_slot(r.client_isn, r.server_isn);
	if (!handshake || r.mptcp)
		return;
	/* The client checks this too, but NAT may show it other addresses. */
	if (is_excluded((const struct sock *)req))
		return;
	/* Under 'proven' the accepted sockets are checked later, when they are scanned. */
	if (admit == SHUNT_EAGER && listener_ineligible(req))
		return;
	cookie = bpf_get_socket_cookie(ops);
	handshake->client_isn = r.client_isn;
	handshake->admit = admit;
	handshake->client = 0;
	handshake->check = handshake_checksum(r.client_isn, r.server_isn, cookie, 0, admit);
	handshake->server = cookie;
}

/* The client stores its part and reads the server's. False if no server on this host
 * takes part in the same handshake. */
static __always_inline bool handshake_join(__u32 client_isn, __u32 server_isn, __u64 cookie,
					   __u64 sk, __u8 admit, struct shunt_handshake *ret)
{
	volatile struct shunt_handshake *handshake = handshake_slot(client_isn, server_isn);

	if (!handshake)
		return false;
	ret->server = handshake->server;
	ret->admit = handshake->admit;
	if (!ret->server || handshake->client ||
	    handshake->check !=
		    handshake_checksum(client_isn, server_isn, ret->server, 0, ret->admit))
		return false;
	handshake->client_sk = sk;
	handshake->client_admit = admit;
	handshake->client_check = handshake_checksum(client_isn, server_isn, cookie, sk, admit);
	handshake->client = cookie;
	return true;
}

/* The server reads the client's part and clears the slot. */
static __always_inline bool handshake_finish(__u32 client_isn, __u32 server_isn, __u64 cookie,
					     struct shunt_handshake *ret)
{
	volatile struct shunt_handshake *handshake = handshake_slot(client_isn, server_isn);

	if (!handshake || handshake->server != cookie)
		return false;
	ret->admit = handshake->admit;
	if (handshake->check != handshake_checksum(client_isn, server_isn, cookie, 0, ret->admit))
		return false;
	ret->client = handshake->client;
	ret->client_sk = handshake->client_sk;
	ret->client_admit = handshake->client_admit;
	handshake->server = 0;
	return ret->client &&
	       handshake->client_check == handshake_checksum(client_isn, server_isn, ret->client,
							     ret->client_sk, ret->client_admit);
}

static __noinline void trace_pair(const struct sock *sk, bool is_client)
{
	struct endpoints e;

	endpoints_of(sk, &e);
	if (e.family == AF_INET6)
		bpf_printk("shunt: pair [%pI6]:%d <-> [%pI6]:%d op=%s", e.local, e.local_port,
			   e.remote, e.remote_port, is_client ? "active" : "passive");
	else
		bpf_printk("shunt: pair %pI4:%d <-> %pI4:%d op=%s", e.local, e.local_port, e.remote,
			   e.remote_port, is_client ? "active" : "passive");
}

static __always_inline void trace_if_on(const struct sock *sk, bool is_client)
{
	const struct shunt_conf *conf = conf_get();

	if (conf && conf->run.trace)
		trace_pair(sk, is_client);
}

/* Puts an end of an eager pair into the map. */
static __always_inline bool enter_fast_path(struct bpf_sock_ops *ops, __u64 cookie, bool is_client)
{
	if (bpf_sock_hash_update(ops, &shunt_socks, &cookie, BPF_NOEXIST)) {
		COUNT(map_full, 1);
		return false;
	}
	if (!is_client)
		COUNT(promoted, 1);
	return true;
}

/*
 * Makes the socket storage of one end. An eager pair enters the map at once. A pair under
 * 'proven' goes on as plain TCP until the supervisor promotes it
 * (loader/bypass/supervisor.c). Only the server's end of such a pair gets its storage
 * here, because most connections are short. The client's end gets it when the pair is
 * watched (sockops/watch.bpf.c).
 */
static __always_inline void store_end(struct bpf_sock_ops *ops, __u64 cookie, __u64 peer_cookie,
				      __u64 peer, bool is_client, bool eager)
{
	struct shunt_conf *conf = conf_get();
	struct bpf_sock *sk = ops->sk;
	struct shunt_sk *st;

	if (!sk || !conf || conf->run.drain_mode)
		return;
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return;
	st->cookie = cookie;
	st->peer_cookie = peer_cookie;
	st->peer = peer;
	st->passed_jiffies = bpf_jiffies64();
	st->eager = eager;
	st->is_client = is_client;
	if (eager && !enter_fast_path(ops, cookie, is_client)) {
		bpf_sk_storage_delete(&shunt_sk, sk);
		return;
	}
	if (conf->run.supervisor_asleep) {
		conf->run.supervisor_asleep = 0;
		wake_supervisor(EVENT_PAIRED);
	}
}

/* Whether the socket with this cookie is still ESTABLISHED at this address. Its memory may
 * have been freed and reused: then the cookie or the state differs. */
static __always_inline bool still_established(__u64 address, __u64 cookie)
{
	const struct sock *sk = (const struct sock *)address;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED;
}

/*
 * Remembers a pair under 'proven' until its server has received a second segment with
 * data. Socket storage is made only then: most connections are short, and storage takes
 * as long as all the rest here. The RTT callback tells when the client has acknowledged
 * the server's reply. The callback stays enabled, because another sock_ops program may
 * have asked for it meanwhile. False if the slot belongs to another open connection: then the
 * storage is made at once.
 */
static __always_inline bool remember_pending_pair(struct bpf_sock_ops *ops, __u64 cookie,
						  const struct shunt_handshake *handshake)
{
	struct shunt_pending_pair *pending = pending_slot(cookie);
	__u64 sk = (__u64)kernel_sk(ops);

	if (!pending || (pending->server && still_established(pending->server_sk, pending->server)))
		return false;
	pending->client = handshake->client;
	pending->server_sk = sk;
	pending->client_sk = handshake->client_sk;
	pending->check = checksum(cookie, handshake->client, sk, handshake->client_sk);
	pending->server = cookie;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
	return true;
}

/* The client has acknowledged data. A pending pair whose server has received two segments
 * with data gets its socket storage. */
static __always_inline void server_reply_acked(struct bpf_sock_ops *ops)
{
	volatile struct shunt_pending_pair *pending;
	__u64 cookie, client, client_sk;

	if (ops->data_segs_in < 2)
		return;
	cookie = bpf_get_socket_cookie(ops);
	pending = pending_slot(cookie);
	if (!pending || pending->server != cookie)
		return;
	client = pending->client;
	client_sk = pending->client_sk;
	if (pending->check != checksum(cookie, client, pending->server_sk, client_sk))
		return;
	pending->server = 0;
	store_end(ops, cookie, client, client_sk, false, false);
}

/* The client's end is established: looks for the server's end in the slot of the handshake. */
static __always_inline void client_established(struct bpf_sock_ops *ops, __u8 admit)
{
	__u32 client_isn = ops->snd_nxt - 1, server_isn = ops->rcv_nxt - 1;
	struct shunt_handshake *slot, handshake = {};
	const struct tcp_sock *tp;
	const struct sock *sk;
	__u64 cookie;

	slot = handshake_slot(client_isn, server_isn);
	if (!slot || slot->client_isn != client_isn)
		return;
	tp = pairable_sock(ops);
	if (!tp || !tp->inet_conn.icsk_inet.sk.sk_socket ||
	    !tp->inet_conn.icsk_inet.sk.sk_socket->file)
		return;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (is_excluded(sk))
		return;
	cookie = bpf_get_socket_cookie(ops);
	if (!handshake_join(client_isn, server_isn, cookie, (__u64)kernel_sk(ops), admit,
			    &handshake))
		return;
	if (admit == SHUNT_EAGER && handshake.admit == SHUNT_EAGER)
		store_end(ops, cookie, handshake.server, 0, true, true);
	trace_if_on(sk, true);
}

/* The server's end is established: takes the entry out of the slot. If the client was there, the two
 * are a pair. */
static __always_inline void server_established(struct bpf_sock_ops *ops)
{
	__u32 client_isn = ops->rcv_nxt - 1, server_isn = ops->snd_nxt - 1;
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct shunt_handshake handshake = {};
	const struct tcp_sock *tp;
	bool eager;

	if (!handshake_finish(client_isn, server_isn, cookie, &handshake))
		return;
	tp = pairable_sock(ops);
	if (!tp)
		return;
	eager = handshake.client_admit == SHUNT_EAGER && handshake.admit == SHUNT_EAGER;
	if (eager || !remember_pending_pair(ops, cookie, &handshake))
		store_end(ops, cookie, handshake.client, handshake.client_sk, false, eager);
	trace_if_on(&tp->inet_conn.icsk_inet.sk, false);
}

/* Removes all that is stored of a socket. After connect(AF_UNSPEC) a socket can connect
 * again; the kernel would leave it in the map, with bytes of the old connection queued. */
static __always_inline void forget_socket(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	const struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	struct shunt_pending_pair *pending;
	struct shunt_sk *st;
	__u64 cookie;

	if (!tp)
		return;
	cookie = tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
	if (!cookie) /* every paired socket has a cookie */
		return;
	pending = pending_slot(cookie);
	if (pending && pending->server == cookie)
		pending->server = 0;
	bpf_map_delete_elem(&shunt_slot, &cookie);
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, 0);
	if (!st)
		return;
	bpf_map_delete_elem(&shunt_socks, &cookie);
	bpf_sk_storage_delete(&shunt_sk, sk);
}

static __always_inline int handle_op(struct bpf_sock_ops *ops, __u8 admit)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		forget_socket(ops);
		break;
	case BPF_SOCK_OPS_RWND_INIT:
		if (ops->state == TCP_NEW_SYN_RECV)
			handshake_begin(ops, admit);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		client_established(ops, admit);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		server_established(ops);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		server_reply_acked(ops);
		break;
	}
	return SK_PASS_OPS;
}

SEC("sockops")
int shunt_eager(struct bpf_sock_ops *ops)
{
	return handle_op(ops, SHUNT_EAGER);
}

SEC("sockops")
int shunt_proven(struct bpf_sock_ops *ops)
{
	return handle_op(ops, SHUNT_PROVEN);
}

char LICENSE[] SEC("license") __weak = "GPL";
