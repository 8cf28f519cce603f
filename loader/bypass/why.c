// SPDX-License-Identifier: GPL-2.0-only
/* The reasons of enum shunt_why in words, as 'shunt sockets' prints them. */
#include "bypass/pairs.h"

const char *why_text(unsigned int why)
{
	static const char *const text[WHY_COUNT] = {
		[WHY_REDIRECTED] = "redirected",
		[WHY_DRAINING] = "unload waits for the queues to empty",
		[WHY_PEER_ABSENT] = "the other end is not on the fast path",
		[WHY_SENDER_STATE] = "the sender is not established",
		[WHY_PEER_STATE] = "the reader is not established",
		[WHY_TCP_BYTES] = "bytes sent by TCP are still unread",
		[WHY_BLOCKING] = "the reader blocks",
		[WHY_LOWAT] = "the reader set SO_RCVLOWAT",
		[WHY_ULP] = "an upper layer protocol (kTLS) is on",
		[WHY_ZEROCOPY] = "the sender set SO_ZEROCOPY",
		[WHY_URGENT] = "sent with MSG_OOB, or by a 32-bit program",
		[WHY_MAX_BYTES] = "the reader's queue is at its bound in bytes",
		[WHY_MAX_MSGS] = "the reader's queue is at its bound in messages",
		[WHY_HOST_MEMORY] = "TCP memory on this host is over the budget",
		[WHY_NOT_BUSY] = "not busy enough to be watched",
		[WHY_WATCHED] = "too few receive calls of its readers were seen yet",
		[WHY_JOINING] = "enters the fast path once nothing is unread",
		[WHY_LEAVING] = "leaves the fast path once its queues are empty",
		[WHY_BACKOFF] = "left the fast path and may come back",
		[WHY_SPLICE] = "a reader splices",
		[WHY_RECV_FLAGS] = "a reader uses MSG_WAITALL, MSG_OOB or MSG_TRUNC",
		[WHY_INQ] = "a reader set TCP_INQ",
		[WHY_STREAM] = "a stream without answers, as fast by TCP",
		[WHY_UNREAD] = "bytes sent by TCP stayed unread",
		[WHY_PROCESS_SPLICES] = "the reading process spliced recently",
		[WHY_EXCLUDED] = "the operator excluded the process",
		[WHY_OPTION] = "an end set time stamps, SO_PEEK_OFF, a filter or a pacing rate",
		[WHY_FIONREAD] =
			"the reading process uses FIONREAD, which this kernel answers wrongly",
		[WHY_MEMCG] = "the reader's control group is near its memory limit",
		[WHY_CORK] = "the sender corked the socket",
		[WHY_BURST_TOO_LARGE] = "more bytes without an answer than ever before",
		[WHY_TOO_FEW_EXCHANGES] =
			("one way so far, or hardly used: the accepting end has not "
			 "answered twice"),
		[WHY_POLLS] = "the reader polls without waiting, as fast by TCP",
		[WHY_REPAIR] = "an end was put into repair mode (TCP_REPAIR: a checkpoint)",
		[WHY_UNSUPERVISED] = "no heartbeat of 'shunt run': it ended, or is stopped",
		[WHY_REFRESH] = "by TCP now and then, for firewalls to see the connection",
		[WHY_NO_ENTRY] = "busy, but the table of watched pairs is full",
		[WHY_RECLAIMED] = "idle, and another pair needed its place in the table",
	};

	return why < WHY_COUNT ? text[why] : "?";
}
