/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdict: may this message skip the stack? Proven anew for every
 * message; on any doubt it goes through TCP. The sender's socket is locked
 * while the program runs (tcp_bpf_sendmsg), so its sequence numbers stand.
 *
 * Redirected bytes are read before bytes that came by TCP (tcp_bpf_recvmsg).
 * So a message may be redirected only once the reader has consumed every byte
 * that TCP was given: write_seq of the sender == copied_seq of the reader.
 *
 * The including file says how to look into the peer, which no helper hands
 * over: READ(pointer, fields...), READ_BITS(pointer, field), TCP_SOCK(address)
 * and PSOCK(address).
 */
#include <shunt/bpf/endpoint.bpf.h>
#include <shunt/bpf/syscalls.bpf.h>

#define sk_of(tp) ((tp)->inet_conn.icsk_inet.sk)
#define READ_SK(tp, ...) READ(tp, inet_conn.icsk_inet.sk.__VA_ARGS__)

#include "reader.h"

#define TS_COMPAT 2 /* a system call of a 32-bit program */

/* The last byte is; redirected it would lose its urgency. Only the system call's
 * flags tell; those of 32-bit programs are elsewhere, so they always are. */
static __always_inline bool urgent(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	long nr;

	if (!bpf_core_field_exists(regs->orig_ax))
		return false; /* flags are where x86 has them */
	if (bpf_core_field_exists(task->thread_info.status) && task->thread_info.status & TS_COMPAT)
		return true;
	nr = regs->orig_ax;
	return ((nr == X86_64_SENDTO || nr == X86_64_SENDMMSG) && regs->r10 & MSG_OOB) ||
	       (nr == X86_64_SENDMSG && regs->dx & MSG_OOB);
}

static __always_inline bool peer_queue_empty(const struct shunt_sk *st)
{
	const struct tcp_sock *p = TCP_SOCK(st->peer);
	const struct sk_psock *psock;

	psock = PSOCK((__u64)READ_SK(p, sk_user_data) & SK_USER_DATA_PTRMASK);
	return !psock || READ(psock, ingress_msg.next) ==
			 __builtin_preserve_access_index(&psock->ingress_msg);
}

/*
 * To a reader that has shut its own side, and is not vouched for, the fast path
 * ends between two messages: once the FIN is there, a short read where redirected
 * bytes end would look like the end of all (POLLHUP).
 */
static __always_inline enum shunt_why sender_ready(const struct tcp_sock *s,
						   const struct shunt_sk *st)
{
	__u8 state = sk_of(s).__sk_common.skc_state;

	/* tcp_bpf_sendmsg does not look at SHUT_WR */
	if (state != TCP_ESTABLISHED &&
	    (state != TCP_CLOSE_WAIT || (!st->eager && (!st->peer || peer_queue_empty(st)))))
		return WHY_SENDER_STATE;
	if (BPF_CORE_READ_BITFIELD(s, repair))
		return WHY_REPAIR;
	if (s->inet_conn.icsk_ulp_ops)
		return WHY_ULP;
	if (sk_of(s).__sk_common.skc_flags &
	    (1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)))
		return WHY_ZEROCOPY;
	if (BPF_CORE_READ_BITFIELD(s, nonagle) & TCP_NAGLE_CORK)
		return WHY_CORK;
	if (urgent())
		return WHY_URGENT;
	return WHY_REDIRECTED;
}

static __always_inline enum shunt_why peer_ready(const struct tcp_sock *s, const struct tcp_sock *p)
{
	__u8 state = READ_SK(p, __sk_common.skc_state);

	if (state != TCP_ESTABLISHED && state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2)
		return WHY_PEER_STATE;
	if (s->write_seq != READ(p, copied_seq))
		return WHY_TCP_BYTES;
	if (READ_SK(p, sk_shutdown) & RCV_SHUTDOWN)
		return WHY_PEER_STATE;
	if (READ_BITS(p, repair))
		return WHY_REPAIR;
	if (READ(p, inet_conn.icsk_ulp_ops))
		return WHY_ULP;
	return WHY_REDIRECTED;
}

/* Pages that a control group's counters may lag behind (memcg_stock), and a
 * message's own. */
#define MEMCG_SLACK 256
#define MEMCG_LEVELS 6

static __always_inline bool counter_has_room(const struct page_counter *c)
{
	int i;

#pragma unroll
	for (i = 0; i < MEMCG_LEVELS; i++) {
		if ((long)READ(c, max) - READ(c, usage.counter) < MEMCG_SLACK)
			return false;
		c = READ(c, parent);
		if (!c)
			return true;
	}
	return true;
}

/*
 * Near a memory limit of the reader's control group a redirect would fail with
 * ENOMEM where TCP waits. Socket memory counts as 'memory', or as 'tcpmem' with
 * cgroup v1. What a socket has in advance (forward_alloc) is counted already.
 */
static __always_inline bool memcg_has_room(const struct tcp_sock *p, __u32 size)
{
	const struct mem_cgroup *memcg;

	if ((int)size <= READ_SK(p, sk_forward_alloc))
		return true;
	memcg = READ_SK(p, sk_memcg);
	if (!memcg)
		return true;
	return counter_has_room(&memcg->memory) &&
	       (!bpf_core_field_exists(memcg->tcpmem) || counter_has_room(&memcg->tcpmem));
}

/*
 * Nothing in the kernel bounds a redirect: bpf_tcp_ingress ignores sk_rcvbuf.
 * Queued payload is all that the reader's sk_rmem_alloc holds here, for no
 * byte that came by TCP is unread. TCP's own memory count has both.
 */
static __always_inline enum shunt_why within_bounds(const struct shunt_conf *conf,
						    struct shunt_sk *st, const struct tcp_sock *s,
						    const struct tcp_sock *p, __u32 size)
{
	__u64 queued = READ_SK(p, sk_backlog.rmem_alloc.counter);
	__u64 members = ((struct bpf_shtab *)&shunt_socks)->count.counter;
	__u64 msgs;

	if (queued + size > conf->max_bytes)
		return WHY_MAX_BYTES;
	if (sk_of(s).__sk_common.skc_prot->memory_allocated->counter > (long)conf->max_pages)
		return WHY_HOST_MEMORY;
	if (!memcg_has_room(p, size))
		return WHY_MEMCG;

	if (queued + st->next_bytes <= st->redirected_bytes) {
		st->read_msgs = st->next_msgs;
		st->next_bytes = st->redirected_bytes;
		st->next_msgs = st->redirected_msgs;
	}
	msgs = st->redirected_msgs - st->read_msgs;
	if (queued && (msgs >= conf->max_msgs || msgs * members > conf->host_msgs))
		return WHY_MAX_MSGS;
	return WHY_REDIRECTED;
}

/* Behind redirected bytes it notices already, and a splice may come next. */
static __always_inline enum shunt_why may_redirect(const struct shunt_conf *conf,
						   struct shunt_sk *st, const struct tcp_sock *s,
						   __u64 peer, __u32 size)
{
	const struct tcp_sock *p = TCP_SOCK(peer);
	enum shunt_why why = peer_ready(s, p);

	if (!why) {
		why = reader_ready(p, st->eager);
		if (why && !peer_queue_empty(st))
			why = WHY_REDIRECTED;
	}
	if (!why)
		why = within_bounds(conf, st, s, p, size);
	return !why && polls_without_waiting(st, p) ? WHY_POLLS : why;
}

/* Bytes, in units of 64 KiB or part, that a member may send by TCP beyond what
 * it sends by redirect; a pass costs a member more than a redirect gains. */
#define COST_UNITS(size) (((size) >> 16) + 1)
#define COST_BY_TCP 2
#define MAX_COST 512

/*
 * A 'proven' pair whose messages go by TCP does not profit, and leaves. At a
 * bound they do so for a while; that counts only when it goes on, as it does when
 * one end has shut its side and the other streams.
 */
static __always_inline void judge(struct shunt_pair *pair, struct shunt_end *self,
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

static __always_inline void profit(struct shunt_end *self, __u32 size)
{
	__u32 units = COST_UNITS(size);

	self->tcp_cost = self->tcp_cost > units ? self->tcp_cost - units : 0;
}

static __always_inline int pass(struct shunt_sk *st, enum shunt_why why, __u32 size)
{
	struct shunt_pair *pair = pair_get(st);

	if (pair && pair->stage == STAGE_ACTIVE)
		judge(pair, own_end(pair, st), why, size);
	st->why = why;
	st->passed_jiffies = bpf_jiffies64();
	st->passed_bytes += size;
	st->passed_msgs++;
	COUNT(passed_bytes, size);
	COUNT(passed_msgs, 1);
	return SK_PASS;
}

/*
 * Messages without an answer make a stream, which gains nothing: small ones TCP
 * joins, large ones fill the reader's queue faster than it is read, out of the
 * CPU's cache (measured: bench/).
 */
#define STREAM_MSGS 64
#define STREAM_BYTES (4 << 20)

/*
 * Firewalls and NAT forget a connection that they see no packet of. So a message
 * goes by TCP once in so many jiffies: 30 s to 5 min, at 1000 to 100 a second.
 */
#define REFRESH_JIFFIES 30000

/* The coarse clock may be behind the supervisor's, by a tick. */
static __always_inline bool unsupervised(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->beat_ns) > SHUNT_BEAT_LIMIT_NS;
}

/* A member is being put into repair mode. Vouched pairs have no entry that tells whose. */
static __always_inline bool repairing(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->repair_ns) < SHUNT_REPAIR_NS;
}

/*
 * What only pairs under 'proven' have to show. Programs that receive small answers
 * may splice large ones (HAProxy, from 4 KiB on). So what is more than ever before
 * goes by TCP, unless it would come behind redirected bytes; when it is answered, it
 * was read as all before was, or the pair is on its way out (sockops/watch.bpf.c).
 */
static __always_inline enum shunt_why pair_ready(const struct shunt_conf *conf,
						 struct shunt_pair *pair, struct shunt_sk *st,
						 __u32 size)
{
	struct shunt_end *self, *other;

	if (!pair)
		return WHY_NOT_BUSY;
	if (pair->stage != STAGE_ACTIVE)
		return pair->stage == STAGE_JOINING ? WHY_JOINING : WHY_LEAVING;
	self = own_end(pair, st);
	other = peer_end(pair, st);
	if (self->fault || other->fault)
		return other->fault ? other->fault : self->fault;
	if (!other->clean_recvs)
		return WHY_WATCHED;
	if (unsupervised(conf))
		return WHY_UNSUPERVISED;
	self->msgs++;
	if (other->msgs != st->peer_msgs) {
		if (st->burst_bytes > st->answered_bytes)
			st->answered_bytes = st->burst_bytes;
		st->peer_msgs = other->msgs;
		st->burst_msgs = 0;
		st->burst_bytes = 0;
	}
	st->burst_msgs++;
	st->burst_bytes += size;
	if (st->burst_bytes > STREAM_BYTES ||
	    (st->burst_msgs > STREAM_MSGS && st->burst_bytes < st->burst_msgs * SHUNT_STREAM_MEAN))
		return WHY_STREAM;
	return st->burst_bytes > st->answered_bytes ? WHY_BURST_TOO_LARGE : WHY_REDIRECTED;
}

/*
 * A redirect once asked for can't be taken back, but it can be turned into an
 * egress redirect to the sender itself, which is a plain TCP send.
 */
static __always_inline int pass_instead(struct sk_msg_md *msg, struct shunt_sk *st,
					enum shunt_why why, __u32 size)
{
	if (bpf_msg_redirect_hash(msg, &shunt_socks, &st->cookie, 0) != SK_PASS)
		return SK_DROP; /* not while the sender is locked and a member */
	return pass(st, why, size);
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

/*
 * A splice reads what came by TCP and passes over what was redirected. So while
 * redirected bytes wait for a reader that splices, later ones queue up behind
 * them: by TCP they would be read first. A reader that never receives again is
 * reset in the end: loader/bypass/supervisor.c. At a bound the send fails (EACCES), and so it
 * does when no supervisor is there to reset the reader.
 */
static __always_inline bool must_queue_up(const struct shunt_pair *pair, const struct shunt_sk *st)
{
	return pair && st->peer && peer_end(pair, st)->fault == WHY_SPLICE &&
	       !peer_queue_empty(st);
}

/*
 * One that leaves does so between two messages, if it can: a read that ends where
 * the redirected bytes end would look like the end of all there is, and a splice
 * may come next.
 */
static __always_inline bool may_queue_up(enum shunt_why why, const struct shunt_conf *conf,
					 const struct shunt_pair *pair, const struct shunt_sk *st)
{
	if (pair && peer_end(pair, st)->fault == WHY_REPAIR)
		return false;
	return (why == WHY_BURST_TOO_LARGE || why == WHY_UNSUPERVISED ||
		(why == WHY_DRAINING && conf->drain_mode == DRAIN_KEEP_QUEUED) ||
		(why == WHY_LEAVING && pair && pair->stage == STAGE_LEAVING)) &&
	       st->peer && !peer_queue_empty(st);
}

static __always_inline int verdict(struct sk_msg_md *msg)
{
	struct shunt_conf *conf = conf_get();
	struct shunt_pair *pair = NULL;
	const struct tcp_sock *s, *p;
	__u32 size = msg->size;
	struct shunt_sk *st;
	enum shunt_why why, full = WHY_REDIRECTED;
	__u64 peer;

	if (!msg->sk || !conf)
		return SK_PASS;
	st = bpf_sk_storage_get(&shunt_sk, msg->sk, 0, 0);
	s = bpf_skc_to_tcp_sock(msg->sk);
	if (!st || !s)
		return SK_PASS;
	why = sender_ready(s, st);
	if (!why && conf->drain_mode)
		why = WHY_DRAINING;
	if (!st->eager)
		pair = pair_get(st);
	else if (!why && conf->repair_ns && repairing(conf))
		why = WHY_REPAIR;
	if (!why && !st->eager)
		why = pair_ready(conf, pair, st, size);
	if (!why && st->passed_jiffies && bpf_jiffies64() - st->passed_jiffies > REFRESH_JIFFIES &&
	    (!st->peer || peer_queue_empty(st)))
		why = WHY_REFRESH;
	if (why == WHY_STREAM) {
		pair_leave(pair, why);
		why = WHY_LEAVING;
	}

	/* The remembered peer may be gone and its memory reused: what is read
	 * of it counts only if the map still holds the same socket. */
	if (must_queue_up(pair, st)) {
		p = TCP_SOCK(st->peer);
		if (s->write_seq != READ(p, copied_seq))
			return pass(st, WHY_TCP_BYTES, size);
		full = unsupervised(conf) ? WHY_UNSUPERVISED : within_bounds(conf, st, s, p, size);
	} else {
		if (why && may_queue_up(why, conf, pair, st))
			why = WHY_REDIRECTED;
		if (!why && st->peer)
			why = may_redirect(conf, st, s, st->peer, size);
		if (why)
			return pass(st, why, size);
	}
	if (bpf_msg_redirect_hash(msg, &shunt_socks, &st->peer_cookie, BPF_F_INGRESS) != SK_PASS)
		return pass(st, WHY_PEER_ABSENT, size);
	peer = REDIR_PEER(msg);
	if (peer != st->peer) {
		st->peer = peer;
		why = may_redirect(conf, st, s, peer, size);
		if (why)
			return pass_instead(msg, st, why, size);
	} else if (full) {
		return SK_DROP;
	}

	if (pair)
		profit(own_end(pair, st), size);
	st->why = WHY_REDIRECTED;
	st->redirected_bytes += size;
	st->redirected_msgs++;
	COUNT(redirected_bytes, size);
	COUNT(redirected_msgs, 1);
	if (conf->trace)
		trace_bypass((const struct sock *)s, size);
	return SK_PASS;
}
