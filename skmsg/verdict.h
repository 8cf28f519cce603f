/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdict: decides whether a message is redirected to the other end's socket or goes by
 * TCP. It is decided anew for each message; in any doubt the message goes by TCP. The
 * sender's socket is locked while the program runs (tcp_bpf_sendmsg), so its sequence
 * numbers don't change.
 *
 * The rule that keeps bytes in order (I1): a message is redirected only if the reader has
 * consumed every byte that was sent by TCP, so if the sender's write_seq equals the
 * reader's copied_seq. The reason: a reader gets redirected bytes before bytes by TCP
 * (tcp_bpf_recvmsg), whichever were sent first.
 *
 * The including file defines how to read the peer's memory, to which no helper gives a
 * pointer: READ(pointer, fields...), READ_BITS(pointer, field), TCP_SOCK(address) and
 * PSOCK(address).
 */
#include <shunt/bpf/endpoint.bpf.h>
#include <shunt/bpf/syscalls.bpf.h>

#define sk_of(tp) ((tp)->inet_conn.icsk_inet.sk)
#define READ_SK(tp, ...) READ(tp, inet_conn.icsk_inet.sk.__VA_ARGS__)

#include "account.h"
#include "bounds.h"
#include "reader.h"

#define TS_COMPAT 2 /* the system call is one of a 32-bit program */

/*
 * Whether this send carries urgent data (MSG_OOB), which a redirect would deliver as
 * ordinary data. The flag is only in the arguments of the system call. Those of 32-bit
 * programs are in other registers, so what these programs send counts as urgent. Only the
 * registers of x86-64 are known.
 */
static __always_inline bool is_urgent(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	long nr;

	if (!bpf_core_field_exists(regs->orig_ax))
		return false;
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
 * Reasons for TCP: the state and the options of the sender's socket. In CLOSE_WAIT the
 * reader has shut its own side. A pair under 'proven' then goes back to TCP as soon as no
 * redirected bytes are queued: once the sender's FIN is there, too (POLLHUP), a short read
 * at the end of the redirected bytes would look like the end of the stream.
 */
static __always_inline enum shunt_why check_sender(const struct tcp_sock *s,
						   const struct shunt_sk *st)
{
	__u8 state = sk_of(s).__sk_common.skc_state;

	/* needed because tcp_bpf_sendmsg() does not check SHUT_WR */
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
	if (is_urgent())
		return WHY_URGENT;
	return WHY_REDIRECTED;
}

/* Reasons for TCP: the state of the reader's socket, and bytes by TCP that it has not
 * consumed. */
static __always_inline enum shunt_why check_peer(const struct tcp_sock *s, const struct tcp_sock *p)
{
	__u8 state = READ_SK(p, __sk_common.skc_state);

	if (state != TCP_ESTABLISHED && state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2)
		return WHY_PEER_STATE;
	if (s->write_seq != READ(p, copied_seq)) /* I1 */
		return WHY_TCP_BYTES;
	if (READ_SK(p, sk_shutdown) & RCV_SHUTDOWN)
		return WHY_PEER_STATE;
	if (READ_BITS(p, repair))
		return WHY_REPAIR;
	if (READ(p, inet_conn.icsk_ulp_ops))
		return WHY_ULP;
	return WHY_REDIRECTED;
}

/*
 * All reasons for TCP that the peer's socket has. What check_reader() finds does not count
 * while redirected bytes are queued: the reader can notice the bypass by these already. If
 * the message went by TCP, a splice() that follows would read it before them.
 */
static __always_inline enum shunt_why check_redirect(const struct shunt_conf *conf,
						     struct shunt_sk *st, const struct tcp_sock *s,
						     __u64 peer, __u32 size)
{
	const struct tcp_sock *p = TCP_SOCK(peer);
	enum shunt_why why = check_peer(s, p);

	if (!why) {
		why = check_reader(p, st->eager);
		if (why && !peer_queue_empty(st))
			why = WHY_REDIRECTED;
	}
	if (!why)
		why = check_bounds(conf, st, s, p, size);
	return !why && polls_without_waiting(st, p) ? WHY_POLLS : why;
}

/*
 * More than this without an answer is a stream, which gains nothing by a redirect: TCP
 * joins small messages, and large ones fill the reader's queue faster than the reader
 * empties it, so that the bytes leave the CPU's cache (measured: bench/).
 */
#define STREAM_MSGS 64
#define STREAM_BYTES (4 << 20)

/*
 * After this time without a message by TCP the next one goes by TCP: firewalls and NAT
 * forget a connection of which they see no packet. In jiffies: 30 s at 1000 a second,
 * 5 minutes at 100.
 */
#define REFRESH_JIFFIES 30000

/* I6: whether the supervisor's heartbeat is too old. The difference is signed, because the
 * coarse clock may be behind the supervisor's clock by a tick. */
static __always_inline bool is_unsupervised(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->run.beat_ns) > SHUNT_BEAT_LIMIT_NS;
}

/* Whether some member is being put into repair mode. Eager pairs have no entry that would
 * tell which one, so all of them go by TCP for that time. */
static __always_inline bool is_repairing(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->run.repair_ns) < SHUNT_REPAIR_NS;
}

/*
 * Adds the message to the burst of this end: what it has sent since the peer last sent
 * something. A burst that exceeds the largest one that the peer has answered goes by TCP
 * from there on, because a program may receive small answers but splice large ones
 * (HAProxy, from 4 KiB on). When a larger burst is answered, it was read as the bursts
 * before; otherwise a watcher has taken the pair off the fast path (sockops/watch.bpf.c).
 */
static __always_inline enum shunt_why check_burst(struct shunt_end *self,
						  const struct shunt_end *other,
						  struct shunt_sk *st, __u32 size)
{
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

/* Reasons for TCP that only pairs under 'proven' have. */
static __always_inline enum shunt_why check_pair(const struct shunt_conf *conf,
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
	if (is_unsupervised(conf))
		return WHY_UNSUPERVISED;
	return check_burst(self, other, st, size);
}

/*
 * Reasons for TCP that are known without the peer's socket. *ret_pair is the entry of a
 * pair under 'proven'; a stream makes the pair leave.
 */
static __always_inline enum shunt_why check_own(const struct shunt_conf *conf,
						const struct tcp_sock *s, struct shunt_sk *st,
						__u32 size, struct shunt_pair **ret_pair)
{
	enum shunt_why why = check_sender(s, st);

	if (!why && conf->run.drain_mode)
		why = WHY_DRAINING;
	if (!st->eager)
		*ret_pair = pair_get(st);
	else if (!why && conf->run.repair_ns && is_repairing(conf))
		why = WHY_REPAIR;
	if (!why && !st->eager)
		why = check_pair(conf, *ret_pair, st, size);
	if (!why && st->passed_jiffies && bpf_jiffies64() - st->passed_jiffies > REFRESH_JIFFIES &&
	    (!st->peer || peer_queue_empty(st)))
		why = WHY_REFRESH;
	if (why == WHY_STREAM) {
		pair_leave(*ret_pair, why);
		why = WHY_LEAVING;
	}
	return why;
}

/*
 * Whether the message must not go by TCP: the reader splices, and redirected bytes are
 * queued. A splice skips redirected bytes and reads bytes by TCP, which would be those sent
 * later. A reader that never receives again is reset in the end
 * (loader/bypass/supervisor.c). At a bound the send fails instead, and also without a
 * supervisor, which would reset the reader.
 */
static __always_inline bool must_queue_up(const struct shunt_pair *pair, const struct shunt_sk *st)
{
	return pair && st->peer && peer_end(pair, st)->fault == WHY_SPLICE && !peer_queue_empty(st);
}

/*
 * Whether a message that follows redirected unread bytes is redirected although its pair
 * leaves the fast path. A pair should leave between two messages: a read that ends where the
 * redirected bytes end would look like the end of the message, and a splice may come next.
 */
static __always_inline bool may_queue_up(enum shunt_why why, const struct shunt_conf *conf,
					 const struct shunt_pair *pair, const struct shunt_sk *st)
{
	if (pair && peer_end(pair, st)->fault == WHY_REPAIR)
		return false;
	return (why == WHY_BURST_TOO_LARGE || why == WHY_UNSUPERVISED ||
		(why == WHY_DRAINING && conf->run.drain_mode == DRAIN_KEEP_QUEUED) ||
		(why == WHY_LEAVING && pair && pair->stage == STAGE_LEAVING)) &&
	       st->peer && !peer_queue_empty(st);
}

enum decision {
	DECIDE_REDIRECT,
	DECIDE_PASS, /* by TCP */
	DECIDE_DROP, /* the message must not go by TCP, and can't be redirected: the send
		      * fails with EACCES */
};

/*
 * Decides by what is remembered of the peer. Its socket may be gone and the memory reused,
 * so what is read there counts only if verdict() finds the same socket in the map (I3).
 */
static __always_inline enum decision decide(const struct shunt_conf *conf, const struct tcp_sock *s,
					    struct shunt_sk *st, __u32 size,
					    struct shunt_pair **ret_pair, enum shunt_why *ret_why)
{
	enum shunt_why why = check_own(conf, s, st, size, ret_pair);
	const struct tcp_sock *p;

	if (must_queue_up(*ret_pair, st)) {
		p = TCP_SOCK(st->peer);
		*ret_why = WHY_TCP_BYTES;
		if (s->write_seq != READ(p, copied_seq)) /* I1 */
			return DECIDE_PASS;
		why = is_unsupervised(conf) ? WHY_UNSUPERVISED : check_bounds(conf, st, s, p, size);
		return why ? DECIDE_DROP : DECIDE_REDIRECT;
	}
	if (why && may_queue_up(why, conf, *ret_pair, st))
		why = WHY_REDIRECTED;
	if (!why && st->peer)
		why = check_redirect(conf, st, s, st->peer, size);
	*ret_why = why;
	return why ? DECIDE_PASS : DECIDE_REDIRECT;
}

/*
 * A redirect that was asked for can't be taken back. But it can be replaced by an egress
 * redirect to the sender itself, which is a plain send by TCP.
 */
static __always_inline int pass_instead(struct sk_msg_md *msg, struct shunt_sk *st,
					enum shunt_why why, __u32 size)
{
	if (bpf_msg_redirect_hash(msg, &shunt_socks, &st->cookie, 0) != SK_PASS)
		return SK_DROP; /* can't happen: the sender is locked and a member */
	return pass_to_tcp(st, why, size);
}

static __always_inline int verdict(struct sk_msg_md *msg)
{
	enum shunt_why why = WHY_REDIRECTED;
	struct shunt_conf *conf = conf_get();
	struct shunt_pair *pair = NULL;
	__u32 size = msg->size;
	const struct tcp_sock *s;
	enum decision decision;
	struct shunt_sk *st;
	__u64 peer;

	if (!msg->sk || !conf)
		return SK_PASS;
	st = bpf_sk_storage_get(&shunt_sk, msg->sk, 0, 0);
	s = bpf_skc_to_tcp_sock(msg->sk);
	if (!st || !s)
		return SK_PASS;
	decision = decide(conf, s, st, size, &pair, &why);
	if (decision == DECIDE_PASS)
		return pass_to_tcp(st, why, size);
	if (bpf_msg_redirect_hash(msg, &shunt_socks, &st->peer_cookie, BPF_F_INGRESS) != SK_PASS)
		return pass_to_tcp(st, WHY_PEER_ABSENT, size);
	peer = REDIR_PEER(msg);
	if (peer != st->peer) { /* I3 */
		st->peer = peer;
		why = check_redirect(conf, st, s, peer, size);
		if (why)
			return pass_instead(msg, st, why, size);
	} else if (decision == DECIDE_DROP) {
		return SK_DROP;
	}
	return count_redirect(conf, pair, s, st, size);
}
