/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the kernel's memory of a member: a socket that is in the map. */
#ifndef SHUNT_MEMBER_H
#define SHUNT_MEMBER_H

#include <shunt/bpf/maps.bpf.h>

static __always_inline struct sk_psock *psock_of(const struct sock *sk)
{
	return (void *)((__u64)BPF_CORE_READ(sk, sk_user_data) & SK_USER_DATA_PTRMASK);
}

/* The TCP socket of an open file; NULL if the file is something else. */
static __always_inline struct sock *tcp_of_file(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *sock = file ? bpf_sock_from_file(file) : NULL;
	struct sock *sk = sock ? sock->sk : NULL;

	return sk && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP ? sk : NULL;
}

static __always_inline bool queue_empty(const struct sk_psock *psock)
{
	const struct list_head *head = __builtin_preserve_access_index(&psock->ingress_msg);

	return BPF_CORE_READ(head, next) == head;
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
 * Whether no redirect to this socket is under way. A redirect holds a reference to its
 * target from inside the verdict until the bytes are queued (tcp_bpf_sendmsg_redir). Once
 * every verdict passes to TCP and all older verdicts have ended, a socket that holds only
 * its own references is not the target of a running redirect. Its own are those of the
 * file, of the psock and of its timers. If the numbers change meanwhile, the answer is no,
 * and the caller tries again later.
 */
static __always_inline bool no_redirect_pending(const struct sock *sk)
{
	int before = timers_pending(sk);
	int refs = BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);
	int after = timers_pending(sk);
	int again = BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);

	return before == after && refs == again && refs <= 2 + before;
}

/* Whether bytes by TCP, or a FIN, wait to be read. */
static __always_inline bool unread(const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;

	return BPF_CORE_READ(tp, rcv_nxt) != BPF_CORE_READ(tp, copied_seq) ||
	       BPF_CORE_READ(sk, sk_backlog.len);
}

/*
 * I5: takes a socket out of the map if it holds no redirected bytes and no redirect to it is
 * under way. The caller has made the pair's verdicts pass everything to TCP, and has waited
 * for older ones. If bytes by TCP are unread, shunt_wakeup tells the reader, which may not
 * know of them.
 */
static __always_inline bool evict(const struct sock *sk, __u64 cookie, struct shunt_sk *st)
{
	const struct sk_psock *psock = psock_of(sk);
	struct shunt_conf *conf = conf_get();

	if (!psock || !queue_empty(psock) || !no_redirect_pending(sk) ||
	    bpf_map_delete_elem(&shunt_socks, &cookie))
		return false;
	if (st && conf && unread(sk)) {
		st->wakeup = 1;
		conf->run.wakeups_pending = 1;
	}
	return true;
}

#endif
