/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts each message by its verdict: part of verdict.h. Besides the counters each end of a
 * pair under 'proven' has a cost, which takes the pair off the fast path when too much goes
 * by TCP.
 */
#ifndef SHUNT_ACCOUNT_H
#define SHUNT_ACCOUNT_H

/* A message by TCP raises the cost by COST_BY_TCP for each 64 KiB of its size, or part of
 * that, because it costs a member more than a redirect gains. A redirect lowers the cost by 1
 * for each 64 KiB or part. Above MAX_COST the pair leaves. */
#define COST_UNITS(size) (((size) >> 16) + 1)
#define COST_BY_TCP 2
#define MAX_COST 512

/*
 * A message of an ACTIVE pair goes by TCP. Most reasons last, so the pair leaves at once.
 * Others (a bound, TCP bytes that wait to be read) may be over soon, so the pair leaves
 * only when its cost shows that they go on. That happens, for instance, when one end has
 * shut its side and the other one streams.
 */
static __always_inline void charge_pass(struct shunt_pair *pair, struct shunt_end *self,
					enum shunt_why why, __u32 size)
{
	switch (why) {
	case WHY_REFRESH:
	case WHY_BURST_TOO_LARGE:
	case WHY_UNSUPERVISED:
		break;
	case WHY_SENDER_STATE:
	case WHY_PEER_STATE:
	case WHY_PEER_ABSENT:
	case WHY_TCP_BYTES:
	case WHY_MAX_BYTES:
	case WHY_MAX_MSGS:
	case WHY_HOST_MEMORY:
	case WHY_MEMCG:
	case WHY_CORK:
		self->tcp_cost += COST_BY_TCP * COST_UNITS(size);
		if (self->tcp_cost <= MAX_COST)
			break;
		/* fall through */
	default:
		pair_leave(pair, why);
	}
}

static __always_inline void credit_redirect(struct shunt_end *self, __u32 size)
{
	__u32 units = COST_UNITS(size);

	self->tcp_cost = self->tcp_cost > units ? self->tcp_cost - units : 0;
}

/* Counts a message that goes by TCP for this reason. Returns the verdict, SK_PASS. */
static __always_inline int pass_to_tcp(struct shunt_sk *st, enum shunt_why why, __u32 size)
{
	struct shunt_pair *pair = pair_get(st);

	if (pair && pair->stage == STAGE_ACTIVE)
		charge_pass(pair, own_end(pair, st), why, size);
	st->why = why;
	st->passed_jiffies = bpf_jiffies64();
	st->passed_bytes += size;
	st->passed_msgs++;
	COUNT(passed_bytes, size);
	COUNT(passed_msgs, 1);
	return SK_PASS;
}

static __noinline void trace_bypass(const struct sock *sk, __u32 bytes)
{
	struct endpoints e;

	endpoints_of(sk, &e);
	if (e.family == AF_INET6)
		bpf_printk("shunt: bypass [%pI6]:%d -> [%pI6]:%d bytes=%d", e.local, e.local_port,
			   e.remote, e.remote_port, bytes);
	else
		bpf_printk("shunt: bypass %pI4:%d -> %pI4:%d bytes=%d", e.local, e.local_port,
			   e.remote, e.remote_port, bytes);
}

/* Counts a message that the kernel will redirect. Returns the verdict, SK_PASS. */
static __always_inline int count_redirect(const struct shunt_conf *conf, struct shunt_pair *pair,
					  const struct tcp_sock *s, struct shunt_sk *st, __u32 size)
{
	if (pair)
		credit_redirect(own_end(pair, st), size);
	st->why = WHY_REDIRECTED;
	st->redirected_bytes += size;
	st->redirected_msgs++;
	COUNT(redirected_bytes, size);
	COUNT(redirected_msgs, 1);
	if (conf->run.trace)
		trace_bypass((const struct sock *)s, size);
	return SK_PASS;
}

#endif
