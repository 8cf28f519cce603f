/* SPDX-License-Identifier: GPL-2.0-only */
/* What the verdict checks of the reader and its socket: part of verdict.h. */
#ifndef SHUNT_READER_H
#define SHUNT_READER_H

/* Whether no redirected bytes wait to be read at the remembered address of the reader's socket.
 * A socket that is not in the map (any more) has no psock, and no such bytes. The lower bits of
 * sk_user_data are flags. */
static __always_inline bool peer_queue_empty(const struct shunt_sk *st)
{
	const struct tcp_sock *p = TCP_SOCK(st->peer);
	const struct sk_psock *psock;

	psock = PSOCK((__u64)READ_SK(p, sk_user_data) & SK_USER_DATA_PTRMASK);
	return !psock || READ(psock, ingress_msg.next) ==
				 __builtin_preserve_access_index(&psock->ingress_msg);
}

/* Reasons for TCP: options of the reader's socket that the kernel ignores for redirected bytes. The
 * program would notice the bypass. */
static __always_inline enum shunt_why check_reader(const struct tcp_sock *p, bool eager)
{
	/* A redirect wakes the reader for any number of bytes. */
	if (READ_SK(p, sk_rcvlowat) > 1)
		return WHY_LOWAT;
	/* MSG_PEEK begins at the first redirected byte again, whatever SO_PEEK_OFF says. */
	if (READ_SK(p, sk_peek_off) >= 0)
		return WHY_OPTION;
	/* No control message TCP_INQ comes with redirected bytes. */
	if (READ_BITS(p, recvmsg_inq))
		return WHY_INQ;
	/* A blocking receive call of a member may fail with EAGAIN (docs/limits.md). */
	if (!eager && !(READ(p, inet_conn.icsk_inet.sk.sk_socket, file, f_flags) & O_NONBLOCK))
		return WHY_BLOCKING;
	return WHY_REDIRECTED;
}

/*
 * Whether the reader polls without waiting. A redirect takes the lock of the reader's
 * socket; TCP does not, because its packets wait in the socket's backlog. So a redirect
 * is slower than TCP when the reader takes the lock again and again only to find nothing.
 * No thread is in the socket's wait queue then; a reader in epoll, poll or a blocking call
 * has a thread there.
 */
static __always_inline bool polls_without_waiting(struct shunt_sk *st, const struct tcp_sock *p)
{
	const struct socket_wq *wq;

	if (READ_SK(p, sk_backlog.rmem_alloc.counter))
		return false; /* the reader has redirected bytes to read */
	wq = READ_SK(p, sk_wq);
	if (READ(wq, wait.head.next) != __builtin_preserve_access_index(&wq->wait.head) ||
	    ++st->unwaited_msgs > SHUNT_UNWAITED_MSGS) {
		st->unwaited_msgs = 0;
		st->lock_waits = 0;
		return false;
	}
	if (st->lock_waits < SHUNT_LOCK_WAITS)
		st->lock_waits += READ_SK(p, sk_lock.owned) != 0;
	return st->lock_waits == SHUNT_LOCK_WAITS;
}

#endif
