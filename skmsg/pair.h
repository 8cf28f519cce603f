/* SPDX-License-Identifier: GPL-2.0-only */
/* What the verdict checks of a pair under 'proven': part of verdict.h. */
#ifndef SHUNT_PAIR_H
#define SHUNT_PAIR_H

/*
 * A stream, which sends more than this without an answer, gains nothing by redirects: TCP joins
 * small messages, and large ones fill the reader's queue faster than the reader empties it, so
 * that the bytes leave the CPU's cache (measured: bench/).
 */
#define STREAM_MSGS 64
#define STREAM_BYTES (4 << 20)

/* I6: whether the supervisor's last heartbeat is too old. The difference is signed, because the
 * coarse clock may be behind the supervisor's clock by a tick. */
static __always_inline bool is_unsupervised(const struct shunt_conf *conf)
{
	return (__s64)(bpf_ktime_get_coarse_ns() - conf->run.beat_ns) > SHUNT_BEAT_LIMIT_NS;
}

/*
 * Adds the message to the burst of this end: what it has sent since the peer last sent
 * something. A burst goes by TCP from the point where it gets larger than every burst that the
 * peer has answered, because a program may receive small messages but splice large ones
 * (HAProxy, from 4 KiB on). When the peer answers a larger burst, its program has read that
 * burst like the smaller ones; otherwise sockops/watch.bpf.c has made the pair leave.
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

/* Reasons for TCP in the pair's entry. Calls check_burst() only for a pair that would redirect. */
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
	/* A pair leaves as a whole, so a fault of one end counts for both directions. */
	if (self->fault || other->fault)
		return other->fault ? other->fault : self->fault;
	/* Nobody has seen yet how the reader reads. */
	if (!other->clean_recvs)
		return WHY_WATCHED;
	if (is_unsupervised(conf)) /* I6 */
		return WHY_UNSUPERVISED;
	return check_burst(self, other, st, size);
}

#endif
