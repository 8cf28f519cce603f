// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs when a program puts a socket into repair mode (TCP_REPAIR): a checkpoint (CRIU,
 * podman) is about to read what the socket holds. From then on nothing may be redirected to
 * a member, because the checkpoint would miss those bytes. Bytes that are queued already are
 * read by the checkpoint as by any reader: by SIOCINQ, then MSG_PEEK. If these calls would
 * not return all bytes, setsockopt() fails with EBUSY: the checkpoint reports an error, and
 * the process goes on.
 */
#include "member.h"

/* A verdict takes less than a microsecond. MAX_CHECKS take about a millisecond. */
#define MIN_CHECKS 256
#define MAX_CHECKS 16384

struct verdict_wait {
	const struct sock *sender; /* NULL: unknown */
	bool over;
};

/* bpf_loop() callback: a verdict is over when its sender's socket is not locked. */
static long check_sender_lock(__u32 i, void *data)
{
	struct verdict_wait *w = data;
	const struct sock *sender = w->sender;

	w->over = i >= MIN_CHECKS && sender && !BPF_CORE_READ(sender, sk_lock.owned);
	return w->over;
}

/* Waits until a verdict that began before the repair mode was recorded has ended. False if
 * the sender's socket stays locked. */
static __always_inline bool wait_for_verdict(const struct shunt_sk *st)
{
	const struct sock *sender = (const struct sock *)st->peer;
	struct verdict_wait w = {};

	if (sender &&
	    (__u64)BPF_CORE_READ(sender, __sk_common.skc_cookie.counter) == st->peer_cookie)
		w.sender = sender;
	bpf_loop(MAX_CHECKS, check_sender_lock, &w, 0);
	return w.over || !w.sender;
}

/* Whether SIOCINQ and MSG_PEEK return all bytes that the socket holds. These calls read the
 * queue of redirected bytes first, even when the caller has selected the send queue
 * (tcp_bpf_recvmsg). */
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

/* Ends redirects to the socket. False if a checkpoint would not read all its bytes. */
static __always_inline bool may_repair(const struct sock *sk, struct shunt_sk *st)
{
	const struct sk_psock *psock = psock_of(sk);
	struct shunt_pair *pair = pair_get(st);
	struct shunt_conf *conf = conf_get();

	if (!psock || !conf)
		return true;
	conf->run.repair_ns = bpf_ktime_get_ns();
	if (pair) {
		own_end(pair, st)->fault = WHY_REPAIR;
		pair_leave(pair, WHY_REPAIR);
	}
	return wait_for_verdict(st) && no_redirect_pending(sk) && readable_in_full(sk, psock, conf);
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
	ctx->optlen = 0; /* the kernel uses the caller's own value, even one beyond a page */
	return 1;
}

char LICENSE[] SEC("license") __weak = "GPL";
