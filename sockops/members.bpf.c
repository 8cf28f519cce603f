// SPDX-License-Identifier: GPL-2.0-only
/* Walks over the paired sockets: to list them, and to take them out. */
#include "endpoint.bpf.h"

static __always_inline struct sk_psock *psock_of(const struct sock *sk)
{
	return (void *)((__u64)BPF_CORE_READ(sk, sk_user_data) & SK_USER_DATA_PTRMASK);
}

static __always_inline bool queue_empty(const struct sk_psock *psock)
{
	const struct list_head *head = __builtin_preserve_access_index(&psock->ingress_msg);

	return BPF_CORE_READ(head, next) == head;
}

static __always_inline void fill_row(struct shunt_row *row, const struct sock *sk,
				     const struct shunt_sk *st, bool member)
{
	struct endpoints e;

	__builtin_memset(row, 0, sizeof(*row));
	if (st)
		row->sk = *st;
	endpoints_of(sk, &e);
	__builtin_memcpy(row->local, e.local, 16);
	__builtin_memcpy(row->remote, e.remote, 16);
	row->local_port = e.local_port;
	row->remote_port = e.remote_port;
	row->family = e.family;
	row->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	row->member = member;
	if (member && psock_of(sk) && !queue_empty(psock_of(sk)))
		row->queued = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
}

/* One row for every paired socket. */
SEC("iter/bpf_sk_storage_map")
int shunt_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct shunt_sk *st = ctx->value;
	struct shunt_row row;

	if (!sk || !st)
		return 0;
	fill_row(&row, sk, st, psock_of(sk));
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

static __always_inline bool timer_pending(const struct timer_list *t)
{
	return BPF_CORE_READ(t, entry.pprev);
}

static __always_inline bool hrtimer_queued(const struct hrtimer *t)
{
	if (bpf_core_field_exists(t->state))
		return BPF_CORE_READ(t, state) & 1; /* HRTIMER_STATE_ENQUEUED */
	return BPF_CORE_READ(t, is_queued);
}

#define ADDRESS(x) __builtin_preserve_access_index(&(x))

/* Each pending timer of a TCP socket holds a reference (sk_reset_timer). */
static __always_inline int timers_pending(const struct sock *sk)
{
	const struct inet_connection_sock *icsk = (const void *)sk;
	const struct tcp_sock *tp = (const void *)sk;
	int n = 0;

	n += timer_pending(ADDRESS(sk->sk_timer));
	n += timer_pending(ADDRESS(icsk->icsk_delack_timer));
	if (bpf_core_field_exists(icsk->icsk_retransmit_timer))
		n += timer_pending(ADDRESS(icsk->icsk_retransmit_timer));
	if (bpf_core_field_exists(icsk->icsk_keepalive_timer))
		n += timer_pending(ADDRESS(icsk->icsk_keepalive_timer));
	n += hrtimer_queued(ADDRESS(tp->pacing_timer));
	n += hrtimer_queued(ADDRESS(tp->compressed_ack_timer));
	return n;
}

/*
 * A redirect under way holds a reference to its target from inside the
 * verdict until the bytes are queued (tcp_bpf_sendmsg_redir). So once the
 * verdicts pass everything and those that did not know are over, a socket
 * with no references but its own can't be such a target. Its own are the
 * file's, the psock's and its timers'. Whatever looks unusual waits.
 */
static __always_inline bool no_redirect_pending(const struct sock *sk)
{
	int before = timers_pending(sk);
	int refs = BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);
	int after = timers_pending(sk);
	int again = BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);

	return before == after && refs == again && refs <= 2 + before;
}

/* Takes the members out that hold no bytes and are no one's target; a row for
 * each that has to stay. To be run with conf->passing set. */
SEC("iter/sockmap")
int shunt_drain(struct bpf_iter__sockmap *ctx)
{
	struct sock *sk = ctx->sk;
	__u64 *key = ctx->key;
	struct sk_psock *psock;
	struct shunt_row row;
	__u64 cookie;

	if (!key || !sk)
		return 0;
	cookie = *key;
	psock = psock_of(sk);
	if (psock && queue_empty(psock) && no_redirect_pending(sk) &&
	    !bpf_map_delete_elem(&shunt_socks, &cookie))
		return 0;
	fill_row(&row, sk, 0, true);
	row.sk.cookie = cookie;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
