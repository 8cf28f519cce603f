// SPDX-License-Identifier: GPL-2.0-only
/*
 * A member is put into repair mode: a checkpoint (CRIU, podman) is about to read what the
 * socket holds. From then on nothing may be redirected to the socket, for the checkpoint
 * would miss those bytes. What is queued already is read by the checkpoint as by any
 * reader: SIOCINQ, then MSG_PEEK. Where that would not bring all bytes, setsockopt()
 * fails with EBUSY, the checkpoint fails and says so, and the process goes on.
 */
#include "member.h"

/* A verdict takes less than a microsecond; so many looks take about a millisecond. */
#define LEAST_LOOKS 256
#define LOOKS 16384

struct waiting {
	const struct sock *sender; /* NULL: unknown */
	bool over;
};

/* The verdict runs while its sender's socket is locked. */
static long wait_step(__u32 i, void *data)
{
	struct waiting *w = data;
	const struct sock *sender = w->sender;

	w->over = i >= LEAST_LOOKS && sender && !BPF_CORE_READ(sender, sk_lock.owned);
	return w->over;
}

/* Waits for a verdict that has not seen that nothing is to be redirected any more. False if
 * the sender's socket is in use all the time. */
static __always_inline bool verdict_over(const struct shunt_sk *st)
{
	const struct sock *sender = (const struct sock *)st->peer;
	struct waiting w = {};

	if (sender && (__u64)BPF_CORE_READ(sender, __sk_common.skc_cookie.counter) == st->peer_cookie)
		w.sender = sender;
	bpf_loop(LOOKS, wait_step, &w, 0);
	return w.over || !w.sender;
}

/* Do SIOCINQ and MSG_PEEK bring all that the socket holds? They look into the queue of
 * redirected bytes first, also for the send queue (tcp_bpf_recvmsg). */
static __always_inline bool readable_in_full(const struct sock *sk, const struct sk_psock *psock,
					     const struct shunt_conf *conf)
{
	const struct tcp_sock *tp = (const void *)sk;
	bool unsent = BPF_CORE_READ(tp, write_seq) != BPF_CORE_READ(tp, snd_una);
	bool by_tcp = unread(sk);

	if (!queue_empty(psock))
		return !unsent && !by_tcp && bpf_core_field_exists(psock->msg_tot_len);
	return by_tcp ? !conf->fionread_faulty : !unsent;
}

static __always_inline bool may_repair(const struct sock *sk, struct shunt_sk *st)
{
	const struct sk_psock *psock = psock_of(sk);
	struct shunt_pair *pair = pair_get(st);
	struct shunt_conf *conf = conf_get();

	if (!psock || !conf)
		return true;
	conf->repair_ns = bpf_ktime_get_ns();
	if (pair) {
		own_end(pair, st)->fault = WHY_REPAIR;
		pair_leave(pair, WHY_REPAIR);
	}
	return verdict_over(st) && no_redirect_pending(sk) && readable_in_full(sk, psock, conf);
}

SEC("cgroup/setsockopt")
int shunt_repair(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;
	struct shunt_sk *st;

	if (ctx->level != IPPROTO_TCP || ctx->optname != TCP_REPAIR ||
	    (void *)(value + 1) > ctx->optval_end || *value != 1 || !ctx->sk)
		goto pass;
	st = bpf_sk_storage_get(&shunt_sk, ctx->sk, 0, 0);
	if (st && !may_repair(BPF_CORE_READ((struct bpf_sockopt_kern *)ctx, sk), st)) {
		bpf_set_retval(-EBUSY);
		return 0;
	}
pass:
	ctx->optlen = 0; /* the kernel takes what the caller gave, also beyond a page */
	return 1;
}

char LICENSE[] SEC("license") __weak = "GPL";
