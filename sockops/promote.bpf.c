// SPDX-License-Identifier: GPL-2.0-only
/*
 * The supervisor's scan of the paired sockets (loader/bypass/supervisor.c). The iterator calls
 * shunt_scan() for each of them. If its pair has an entry in shunt_pairs, the socket takes the
 * step of the pair's stage: it is checked, enters the map, or leaves it. The scan prints a row
 * for the supervisor if a socket by TCP has got busy since the last scan, and if an end of an
 * eager pair has sent much.
 */
#include <shunt/bpf/endpoint.bpf.h>
#include "member.h"

/* A pair is busy if its ends receive BUSY_SEGS segments with data within BUSY_SCANS scans. */
#define BUSY_SEGS 16
#define BUSY_SCANS 8

static __always_inline void print_row(struct seq_file *seq, const void *sk,
				      const struct shunt_sk *st)
{
	struct shunt_row row;

	__builtin_memset(&row, 0, sizeof(row));
	row.sk = *st;
	row.cgroup = BPF_CORE_READ((const struct sock *)sk, sk_cgrp_data.cgroup, kn, id);
	bpf_seq_write(seq, &row, sizeof(row));
}

/* Segments with data that both ends have received, of the server's end tp. The memory of the
 * client's socket may have been reused: then the cookie differs, and only tp's count. */
static __always_inline __u32 data_segs(const struct tcp_sock *tp, const struct shunt_sk *st)
{
	const struct tcp_sock *client = (const struct tcp_sock *)st->peer;
	__u32 segs = BPF_CORE_READ(tp, data_segs_in);

	if (client && (__u64)BPF_CORE_READ((const struct sock *)client,
					   __sk_common.skc_cookie.counter) == st->peer_cookie)
		segs += BPF_CORE_READ(client, data_segs_in);
	return segs;
}

/* A socket by TCP: its pair has no entry, or is WAITING. */
static __always_inline void scan_plain(struct seq_file *seq, const struct tcp_sock *tp,
				       struct shunt_sk *st, const struct shunt_conf *conf)
{
	__u64 cookie = st->cookie;
	__u32 segs, *slot;

	if (conf->run.assign_slots && !st->slot) {
		slot = bpf_map_lookup_elem(&shunt_slot, &cookie);
		if (slot)
			st->slot = *slot;
		return;
	}
	if (st->is_client)
		return;
	segs = data_segs(tp, st);
	if (segs - st->segs >= BUSY_SEGS) {
		if (!st->slot)
			st->why = conf->run.pair_table_full ? WHY_NO_ENTRY : WHY_REDIRECTED;
		print_row(seq, tp, st);
	} else if (conf->run.scan_seq % BUSY_SCANS) {
		return;
	} else if (st->why == WHY_NO_ENTRY) {
		st->why = WHY_REDIRECTED;
	}
	st->segs = segs;
}

/* An end of an eager pair. The row tells the supervisor what the end has sent between two
 * scans. If that is a stream of small messages, or the reader polls, the supervisor makes
 * an entry for the pair. From then on the pair counts as one under 'proven', and leaves. */
static __always_inline void scan_eager(struct seq_file *seq, const struct sock *sk,
				       struct shunt_sk *st, const struct shunt_conf *conf)
{
	__u32 msgs = st->redirected_msgs + st->passed_msgs;
	__u32 bytes = st->redirected_bytes + st->passed_bytes;
	__u64 cookie = st->cookie;
	__u32 *slot;

	if (conf->run.assign_slots) {
		slot = bpf_map_lookup_elem(&shunt_slot, &cookie);
		if (!slot)
			return;
		st->slot = *slot;
		st->answered_bytes = 0;
		st->eager = 0;
		return;
	}
	if (conf->run.scan_seq % BUSY_SCANS)
		return;
	st->interval_msgs = msgs - st->scanned_msgs;
	st->interval_bytes = bytes - st->scanned_bytes;
	st->scanned_msgs = msgs;
	st->scanned_bytes = bytes;
	if (st->interval_msgs >= SHUNT_STREAM_MSGS / SHUNT_STREAM_SHARE ||
	    st->lock_waits == SHUNT_LOCK_WAITS)
		print_row(seq, sk, st);
}

/* Removes a socket from the map whose connection is closed, but whose file is still open, so that
 * TCP answers its calls. A socket with unread redirected bytes stays: they can be read after a
 * reset, too. After a disconnect, which clears the port, nobody may read them. */
static __always_inline void remove_closed(const struct sock *sk, const struct shunt_sk *st)
{
	const struct sk_psock *psock = psock_of(sk);
	__u64 cookie = st->cookie;

	if (psock && (queue_empty(psock) || !BPF_CORE_READ(sk, __sk_common.skc_dport)))
		bpf_map_delete_elem(&shunt_socks, &cookie);
}

/* Reasons that keep a reader off the fast path and that are visible only in its socket. */
static __always_inline __u8 socket_fault(const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (BPF_CORE_READ_BITFIELD_PROBED(tp, repair))
		return WHY_REPAIR;
	if (BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops))
		return WHY_ULP;
	if (BPF_CORE_READ(sk, sk_rcvlowat) > 1)
		return WHY_LOWAT;
	if (BPF_CORE_READ(sk, __sk_common.skc_flags) &
	    (1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)))
		return WHY_ZEROCOPY;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq))
		return WHY_INQ;
	/* Reception time stamps; then SO_PEEK_OFF, a filter, a pacing rate. */
	if (BPF_CORE_READ(sk, __sk_common.skc_flags) &
	    (1UL << bpf_core_enum_value(enum sock_flags, SOCK_RCVTSTAMP)))
		return WHY_OPTION;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_tsflags) || BPF_CORE_READ(sk, sk_peek_off) >= 0 ||
	    BPF_CORE_READ(sk, sk_filter) || BPF_CORE_READ(sk, sk_max_pacing_rate) != ~0UL)
		return WHY_OPTION;
	if (!(BPF_CORE_READ(sk, sk_socket, file, f_flags) & O_NONBLOCK))
		return WHY_BLOCKING;
	return 0;
}

/* I5: puts an end into the map if it has no unread bytes. Before that, scans must have seen both
 * ends without unread bytes. So a stream, one end of which always has some, stays out. */
static __always_inline void join(struct sock *sk, struct shunt_sk *st, struct shunt_pair *pair,
				 struct shunt_end *end)
{
	struct shunt_end *other = peer_end(pair, st);
	__u64 cookie = st->cookie;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return;
	if (!end->was_quiet || !other->was_quiet || unread(sk))
		return;
	if (bpf_map_update_elem(&shunt_socks, &cookie, sk, BPF_NOEXIST)) {
		COUNT(map_full, 1);
		return;
	}
	st->passed_jiffies = bpf_jiffies64();
	st->unwaited_msgs = 0;
	st->lock_waits = 0;
	st->burst_msgs = 0;
	st->burst_bytes = 0;
	st->peer_msgs = other->msgs;
	end->tcp_cost = 0;
	end->unread_seq = 0;
	end->member = 1;
}

/*
 * Makes a pair leave whose end has bytes by TCP unread for too long: FIONREAD may have told
 * the reader that there are none. Time is measured, not scans: scans may be 1 ms apart,
 * while a reader may wait for a CPU or be busy. In CLOSE_WAIT nothing is checked, because
 * there the FIN itself counts as an unread byte.
 */
static __always_inline void check_unread_tcp(struct sock *sk, const struct tcp_sock *tp,
					     struct shunt_pair *pair, struct shunt_end *end)
{
	const struct shunt_conf *conf = conf_get();
	__u32 copied = BPF_CORE_READ(tp, copied_seq);
	__u64 now = bpf_ktime_get_ns();

	copied = copied ? copied : 1;
	if (!unread(sk) || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE_WAIT) {
		end->unread_seq = 0;
		return;
	}
	if (end->unread_seq != copied) {
		end->unread_seq = copied;
		end->unread_since_ns = now;
		return;
	}
	if (conf && now - end->unread_since_ns >
			    (conf->fionread_faulty ? SHUNT_UNREAD_FAULTY_NS : SHUNT_UNREAD_NS))
		pair_leave(pair, WHY_UNREAD);
}

/* Records whether redirected bytes are unread, and whether they are the same ones as at the
 * last scan. */
static __always_inline void update_queue_state(const struct sock *sk, struct shunt_end *end)
{
	const struct sk_psock *psock = psock_of(sk);
	__u32 first = 0;

	end->queued = end->member && psock && !queue_empty(psock);
	if (end->queued)
		first = (__u64)BPF_CORE_READ(psock, ingress_msg.next);
	end->stalled = first && first == end->first_msg;
	end->first_msg = first;
}

/*
 * EMPTYING: takes an end out of the map once its queue is empty. While the other end
 * splices and has redirected bytes to read, this end stays, because what it sends has to
 * queue up behind them (must_queue_up()).
 */
static __always_inline void leave(struct sock *sk, struct shunt_sk *st, struct shunt_pair *pair,
				  struct shunt_end *end)
{
	const struct shunt_end *other = peer_end(pair, st);
	__u8 queued = end->queued;

	update_queue_state(sk, end);
	if (!end->member || (other->fault == WHY_SPLICE && other->queued))
		return;
	/* A send may still be adding bytes to this queue. So it has to be empty in an earlier
	 * scan, and still be after the supervisor has waited for all running programs. */
	if (end->fault == WHY_SPLICE && (queued || end->queued))
		return;
	if (evict(sk, st->cookie, st))
		end->member = 0;
}

/* One socket of a pair that has an entry: the step of the pair's stage. */
static __always_inline void scan_stage(struct seq_file *seq, struct sock *sk, struct shunt_sk *st,
				       const struct shunt_conf *conf, struct shunt_pair *pair)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct shunt_end *end = own_end(pair, st);

	end->last_scan = conf->run.scan_seq;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE && !psock_of(sk))
		end->member = 0;
	switch (pair->stage) {
	case STAGE_WATCHED:
	case STAGE_JOINING:
		if (!end->fault)
			end->fault = socket_fault(tp);
		if (end->member)
			check_unread_tcp(sk, tp, pair, end);
		else if (pair->stage == STAGE_JOINING)
			join(sk, st, pair, end);
		end->was_quiet |= !unread(sk);
		break;
	case STAGE_ACTIVE:
		end->fault = end->fault ? end->fault : socket_fault(tp);
		if (end->fault)
			pair_leave(pair, end->fault);
		check_unread_tcp(sk, tp, pair, end);
		break;
	case STAGE_LEAVING:
		update_queue_state(sk, end);
		break;
	case STAGE_EMPTYING:
		leave(sk, st, pair, end);
		break;
	case STAGE_WAITING:
		scan_plain(seq, tp, st, conf);
		break;
	}
}

/* Scans one paired socket. */
static __always_inline int scan(struct seq_file *seq, struct sock *sk, struct shunt_sk *st)
{
	struct shunt_conf *conf = conf_get();
	struct shunt_pair *pair;

	if (!conf)
		return 0;
	conf->run.scan_sockets++;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		remove_closed(sk, st);
	if (st->eager) {
		scan_eager(seq, sk, st, conf);
		return 0;
	}
	pair = pair_get(st);
	if (!pair) {
		st->slot = 0;
		scan_plain(seq, (const struct tcp_sock *)sk, st, conf);
		return 0;
	}
	scan_stage(seq, sk, st, conf, pair);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int shunt_scan(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct shunt_sk *st = ctx->value;
	struct sock *sk = ctx->sk;

	return sk && st ? scan(ctx->meta->seq, sk, st) : 0;
}

/* The same for kernels on which programs can't iterate over socket storage. A socket with
 * several descriptors is visited several times, and scanned the first time. */
SEC("iter/task_file")
int shunt_scan_files(struct bpf_iter__task_file *ctx)
{
	const struct shunt_conf *conf = conf_get();
	struct sock *sk = tcp_of_file(ctx);
	struct shunt_sk *st = sk ? bpf_sk_storage_get(&shunt_sk, sk, 0, 0) : NULL;

	if (!st || !conf || (st->last_scan == conf->run.scan_seq && !conf->run.assign_slots))
		return 0;
	st->last_scan = conf->run.scan_seq;
	return scan(ctx->meta->seq, sk, st);
}

/* The storage of a paired socket, or NULL. */
static __always_inline struct shunt_sk *storage_of(struct sock_common *skc, struct tcp_sock **ret)
{
	*ret = bpf_skc_to_tcp_sock(skc);
	return *ret ? bpf_sk_storage_get(&shunt_sk, *ret, 0, 0) : NULL;
}

/*
 * Tells the reader of a socket that has left the map that there are bytes to read. While it
 * was a member, FIONREAD or a short read may have told it that there are none. Setting
 * SO_RCVLOWAT to its present value makes the kernel signal the event (tcp_set_rcvlowat).
 */
SEC("iter/tcp")
int shunt_wakeup(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct shunt_sk *st;
	struct tcp_sock *tp;
	int one = 1;

	if (!skc)
		return 0;
	st = storage_of(skc, &tp);
	if (!st || !st->wakeup)
		return 0;
	st->wakeup = 0;
	if (BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.sk_rcvlowat) == 1)
		bpf_setsockopt(tp, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	return 0;
}

extern int bpf_sock_destroy(struct sock_common *sock) __ksym __weak;

/* Resets an end whose reader splices, so that it never reads the bytes redirected to it.
 * Without the reset it would read later bytes in their place. Linux 6.5 and later. */
SEC("iter/tcp")
int shunt_reset(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	const struct shunt_pair *pair;
	const struct shunt_sk *st;
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	st = storage_of(skc, &tp);
	pair = st ? pair_get(st) : NULL;
	if (pair && own_end(pair, st)->to_reset)
		bpf_sock_destroy(skc);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
