// SPDX-License-Identifier: GPL-2.0-only
/* The reasons of enum shunt_why: names for metrics, and words, as 'shunt sockets' prints them. */
#include "bypass/pairs.h"

static const struct {
	const char *name;
	const char *text;
} reasons[WHY_COUNT] = {
	[WHY_REDIRECTED] = { "redirected", "redirected" },
	[WHY_DRAINING] = { "draining", "unload waits for the queues to empty" },
	[WHY_PEER_ABSENT] = { "peer_absent", "the other end is not on the fast path" },
	[WHY_SENDER_STATE] = { "sender_state", "the sender is not established" },
	[WHY_PEER_STATE] = { "peer_state", "the reader is not established" },
	[WHY_TCP_BYTES] = { "tcp_bytes", "bytes sent by TCP are still unread" },
	[WHY_BLOCKING] = { "blocking", "the reader blocks" },
	[WHY_LOWAT] = { "lowat", "the reader set SO_RCVLOWAT" },
	[WHY_ULP] = { "ulp", "an upper layer protocol (kTLS) is on" },
	[WHY_ZEROCOPY] = { "zerocopy", "the sender set SO_ZEROCOPY" },
	[WHY_URGENT] = { "urgent", "sent with MSG_OOB, or by a 32-bit program" },
	[WHY_MAX_BYTES] = { "max_bytes", "the reader's queue is at its bound in bytes" },
	[WHY_MAX_MSGS] = { "max_messages", "the reader's queue is at its bound in messages" },
	[WHY_HOST_MEMORY] = { "host_memory", "TCP memory on this host is over the budget" },
	[WHY_NOT_BUSY] = { "not_busy", "not busy enough to be watched" },
	[WHY_WATCHED] = { "watched", "too few receive calls of its readers were seen yet" },
	[WHY_JOINING] = { "joining", "enters the fast path once nothing is unread" },
	[WHY_LEAVING] = { "leaving", "leaves the fast path once its queues are empty" },
	[WHY_BACKOFF] = { "backoff", "left the fast path and may come back" },
	[WHY_SPLICE] = { "splice", "a reader splices" },
	[WHY_RECV_FLAGS] = { "recv_flags", "a reader uses MSG_WAITALL, MSG_OOB or MSG_TRUNC" },
	[WHY_INQ] = { "inq", "a reader set TCP_INQ" },
	[WHY_STREAM] = { "stream", "a stream without answers, as fast by TCP" },
	[WHY_UNREAD] = { "unread", "bytes sent by TCP stayed unread" },
	[WHY_PROCESS_SPLICES] = { "process_splices", "the reading process spliced recently" },
	[WHY_EXCLUDED] = { "excluded", "the operator excluded the process" },
	[WHY_OPTION] = { "option",
			 "an end set time stamps, SO_PEEK_OFF, a filter or a pacing rate" },
	[WHY_FIONREAD] = { "fionread",
			   "the reading process uses FIONREAD, which this kernel answers wrongly" },
	[WHY_MEMCG] = { "memcg", "the reader's control group is near its memory limit" },
	[WHY_CORK] = { "cork", "the sender corked the socket" },
	[WHY_BURST_TOO_LARGE] = { "burst_too_large",
				  "more bytes without an answer than ever before" },
	[WHY_TOO_FEW_EXCHANGES] = { "too_few_exchanges",
				    "one way so far, or hardly used: the accepting end has not answered twice" },
	[WHY_POLLS] = { "polls", "the reader polls without waiting, as fast by TCP" },
	[WHY_REPAIR] = { "repair", "an end was put into repair mode (TCP_REPAIR: a checkpoint)" },
	[WHY_UNSUPERVISED] = { "unsupervised",
			       "no heartbeat of 'shunt run': it ended, or is stopped" },
	[WHY_REFRESH] = { "refresh", "by TCP now and then, for firewalls to see the connection" },
	[WHY_NO_ENTRY] = { "no_entry", "busy, but the table of watched pairs is full" },
	[WHY_RECLAIMED] = { "reclaimed", "idle, and another pair needed its place in the table" },
};

const char *why_text(unsigned int why)
{
	return why < WHY_COUNT ? reasons[why].text : "?";
}

const char *why_name(unsigned int why)
{
	return why < WHY_COUNT ? reasons[why].name : "?";
}
