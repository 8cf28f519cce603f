/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdict decides for each message of a member whether it is redirected to the other end's
 * socket, or sent by TCP. In any doubt it is sent by TCP.
 *
 * What the kernel does. It runs this sk_msg program in send(), before TCP sees the message
 * (tcp_bpf_sendmsg). SK_PASS lets TCP send the message, unless the program has called
 * bpf_msg_redirect_hash() with BPF_F_INGRESS: then the kernel appends the message to the
 * reader's queue of redirected messages (bpf_tcp_ingress). That queue is ingress_msg of the
 * reader's psock, the struct that the kernel keeps for each socket in a sockmap. A receive
 * call returns the bytes of that queue before the bytes that came by TCP (tcp_bpf_recvmsg),
 * whichever were sent first.
 *
 * The order of bytes (I1). So a message may be redirected only if the reader has consumed
 * every byte that was sent by TCP. The sender's write_seq is the sequence number after the
 * last byte that it gave to TCP. The reader's copied_seq is the number after the last byte
 * by TCP that it has consumed. Redirected bytes change neither. If the two are equal, no byte
 * by TCP is under way or unread. The other order needs no rule: bytes by TCP that follow
 * redirected ones are read after them anyway.
 *
 * Locks. The sender's socket is locked while the program runs, so its fields don't change,
 * and no other message is sent meanwhile. The reader's socket is not locked. Its copied_seq
 * never passes write_seq: once the two are equal, they stay equal. Its queue can only get shorter.
 *
 * The steps, in this order. A check returns the reason why the message goes by TCP, or
 * WHY_REDIRECTED (0) if it finds none. The first reason counts; 'shunt sockets' prints it.
 *
 *  1. check_own(): the sender's socket, and the stage of a pair under 'proven' (I6).
 *  2. must_queue_up(), may_queue_up(): a message may have to follow redirected bytes that are
 *     unread, although step 1 has found a reason for TCP.
 *  3. check_redirect(): the reader's socket: its bytes by TCP (I1), its options, and the bounds
 *     of what may be queued (I2).
 *  4. verdict(): asks the kernel for the redirect. Only this call tells which socket the
 *     reader is. If that is not the socket that steps 2 and 3 have looked at, or if they have
 *     looked at none, step 3 runs now, for that socket (I3).
 *
 * Names: s is the sender's socket, st its storage (shunt_sk), p the reader's socket. The reader
 * is the sender's peer. A member is a socket that is in the sockmap; 'proven' and 'eager' are the
 * two ways for a pair to get there. I1 and so on are the invariants of docs/architecture.md, which
 * has a glossary, too.
 *
 * The including file defines how to read the reader's memory, to which no helper gives a
 * pointer: READ(pointer, fields...), READ_BITS(pointer, field), TCP_SOCK(address) and
 * PSOCK(address). A read of memory that is gone gives zeroes.
 */
#include <shunt/bpf/endpoint.bpf.h>

#define sk_of(tp) ((tp)->inet_conn.icsk_inet.sk)
#define READ_SK(tp, ...) READ(tp, inet_conn.icsk_inet.sk.__VA_ARGS__)

#include "account.h"
#include "bounds.h"
#include "pair.h"
#include "reader.h"
#include "sender.h"

/* --- step 1: the sender's side --------------------------------------------------- */

/*
 * After this time without a message by TCP the next one goes by TCP, because firewalls and NAT
 * forget a connection of which they see no packet. In jiffies: 30 s at 1000 a second,
 * 5 minutes at 100.
 */
#define REFRESH_JIFFIES 30000

/* Whether some member is being put into repair mode. An eager pair has no entry that would tell
 * whether it is this pair, so all eager pairs send by TCP for that time. */
static __always_inline bool is_repairing(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->run.repair_ns) < SHUNT_REPAIR_NS;
}

/*
 * Reasons for TCP that are known without the reader's socket. Sets *ret_pair to the entry of a
 * pair under 'proven', or NULL if the pair has none; leaves *ret_pair alone for an eager pair.
 * A stream makes its pair leave.
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
	/* Not while redirected bytes are unread: see may_queue_up(). */
	if (!why && st->passed_jiffies && bpf_jiffies64() - st->passed_jiffies > REFRESH_JIFFIES &&
	    (!st->peer || peer_queue_empty(st)))
		why = WHY_REFRESH;
	/* From now on the pair is leaving. A leaving pair may still redirect behind unread bytes. */
	if (why == WHY_STREAM) {
		pair_leave(*ret_pair, why);
		why = WHY_LEAVING;
	}
	return why;
}

/* --- step 2: messages that follow redirected bytes -------------------------------------- */

/*
 * Whether the message must not go by TCP: the reader splices, and redirected bytes are
 * queued. A splice skips redirected bytes and reads bytes by TCP, so it would read this
 * message before them. The message is redirected behind them, in each stage of the pair; if a
 * bound forbids that, or there is no supervisor, the send fails with EACCES. Only if earlier bytes
 * by TCP are unread, too, the message follows these by TCP. A reader that never receives again
 * is reset by the supervisor in the end (loader/bypass/pair_steps.c).
 */
static __always_inline bool must_queue_up(const struct shunt_pair *pair, const struct shunt_sk *st)
{
	return pair && st->peer && peer_end(pair, st)->fault == WHY_SPLICE && !peer_queue_empty(st);
}

/*
 * Whether a message that follows redirected unread bytes may be redirected although step 1 found
 * this reason for TCP. A pair should leave the fast path between two messages: where the
 * redirected bytes end, a read ends, too, and the reader could take that for the end of the
 * message; and a splice may come next.
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

/* --- step 3: the reader's side ------------------------------------------------------- */

/* Reasons for TCP: the state of the reader's socket, and bytes by TCP that it has not
 * consumed. */
static __always_inline enum shunt_why check_peer(const struct tcp_sock *s, const struct tcp_sock *p)
{
	__u8 state = READ_SK(p, __sk_common.skc_state);

	/* In FIN_WAIT1 and FIN_WAIT2 the reader sends no more, but still reads. In all other
	 * states nobody will read the message, and TCP tells the sender so. */
	if (state != TCP_ESTABLISHED && state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2)
		return WHY_PEER_STATE;
	if (s->write_seq != READ(p, copied_seq)) /* I1 */
		return WHY_TCP_BYTES;
	if (READ_SK(p, sk_shutdown) & RCV_SHUTDOWN)
		return WHY_PEER_STATE;
	/* As in check_sender(): a checkpoint reads the socket; a protocol changes the bytes. */
	if (READ_BITS(p, repair))
		return WHY_REPAIR;
	if (READ(p, inet_conn.icsk_ulp_ops))
		return WHY_ULP;
	return WHY_REDIRECTED;
}

/*
 * All reasons for TCP that the reader's socket has. What check_reader() finds does not count
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

/* --- the decision ----------------------------------------------------------------------- */

enum decision {
	DECIDE_REDIRECT,
	DECIDE_PASS, /* by TCP */
	DECIDE_DROP, /* the message must not go by TCP, and can't be redirected: the send
		      * fails with EACCES */
};

/*
 * Steps 1 to 3, by the remembered address of the reader's socket (st->peer; 0 if there is none
 * yet: then step 3 is left to verdict()). That socket may be gone and its memory reused, so
 * what is read there counts only if verdict() finds the same socket in the map (I3).
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
 * Sends the message by TCP although a redirect has been asked for. That can't be taken back, but
 * it can be replaced by an egress redirect to the sender itself, which is a plain send.
 */
static __always_inline int pass_instead(struct sk_msg_md *msg, struct shunt_sk *st,
					enum shunt_why why, __u32 size)
{
	if (bpf_msg_redirect_hash(msg, &shunt_socks, &st->cookie, 0) != SK_PASS)
		return SK_DROP; /* can't happen: the sender is locked and a member */
	return pass_to_tcp(st, why, size);
}

/* The whole of both sk_msg programs (verdict.bpf.c, verdict_probe.bpf.c). Of a socket without storage
 * nothing is known: its messages go by TCP. */
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
	/* I3: this is the reader's socket. st->peer differs only if it was 0, because a cookie names one
	 * socket for ever. Then step 1 has found no reason for TCP, step 2 had nothing to overrule, and
	 * step 3 runs now. */
	peer = REDIR_PEER(msg);
	if (peer != st->peer) {
		st->peer = peer;
		why = check_redirect(conf, st, s, peer, size);
		if (why)
			return pass_instead(msg, st, why, size);
	} else if (decision == DECIDE_DROP) {
		return SK_DROP;
	}
	return count_redirect(conf, pair, s, st, size);
}
