/* SPDX-License-Identifier: GPL-2.0-only */
/* What the verdict checks of the sender's socket: part of verdict.h. */
#ifndef SHUNT_SENDER_H
#define SHUNT_SENDER_H

#include <shunt/bpf/syscalls.bpf.h>
#include "reader.h"

#define TS_COMPAT 2 /* the system call is one of a 32-bit program */

/*
 * Whether this send carries urgent data (MSG_OOB), which a redirect would deliver as
 * ordinary data. The program does not see the flag; only the arguments of the system call
 * have it. 32-bit programs have their arguments in other registers, so everything that they
 * send counts as urgent. Only the registers of x86-64 are known.
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

/*
 * Reasons for TCP in the sender's socket: things that TCP would do with the message, and that
 * the kernel skips for a redirect.
 */
static __always_inline enum shunt_why check_sender(const struct tcp_sock *s,
						   const struct shunt_sk *st)
{
	__u8 state = sk_of(s).__sk_common.skc_state;

	/* After shutdown(SHUT_WR) a send has to fail, but tcp_bpf_sendmsg() does not check that.
	 * In CLOSE_WAIT the reader has shut its own side. A pair under 'proven' then goes by TCP as
	 * soon as no redirected bytes are queued. Otherwise, once the sender's FIN is there, too
	 * (POLLHUP), a short read where the redirected bytes end would look like the end of the
	 * stream. */
	if (state != TCP_ESTABLISHED &&
	    (state != TCP_CLOSE_WAIT || (!st->eager && (!st->peer || peer_queue_empty(st)))))
		return WHY_SENDER_STATE;
	/* A checkpoint reads this socket, and would not see what was redirected. */
	if (BPF_CORE_READ_BITFIELD(s, repair))
		return WHY_REPAIR;
	/* An upper layer protocol, such as kTLS, changes the bytes. */
	if (s->inet_conn.icsk_ulp_ops)
		return WHY_ULP;
	/* The program may wait for notifications of MSG_ZEROCOPY, which only TCP sends. */
	if (sk_of(s).__sk_common.skc_flags &
	    (1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)))
		return WHY_ZEROCOPY;
	/* The program wants its bytes held back until it has sent more. */
	if (BPF_CORE_READ_BITFIELD(s, nonagle) & TCP_NAGLE_CORK)
		return WHY_CORK;
	if (is_urgent())
		return WHY_URGENT;
	return WHY_REDIRECTED;
}

#endif
