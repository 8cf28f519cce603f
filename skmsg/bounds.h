/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I2, the bounds of what waits to be read: part of verdict.h. They are needed because the
 * kernel has none for redirects: bpf_tcp_ingress() ignores sk_rcvbuf.
 */
#ifndef SHUNT_BOUNDS_H
#define SHUNT_BOUNDS_H

/* In pages: a control group's counter may be behind by that much (memcg_stock), and the
 * message itself needs some. MEMCG_LEVELS: levels of control groups that are checked. */
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
 * Whether the reader's control group has room for the message. Near its memory limit a
 * redirect would fail with ENOMEM, where TCP waits. Socket memory counts as 'memory', or as
 * 'tcpmem' with cgroup v1. Memory that the socket has reserved (forward_alloc) is counted
 * already.
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
 * Reasons for TCP: the reader's queue, or this host, has too much already. Called only when
 * no byte by TCP is unread (I1), so the reader's sk_rmem_alloc counts redirected bytes alone.
 * Those also count as TCP memory of the host, so TCP's own count is the bound for the host.
 *
 * The kernel does not count the messages in the queue. They are read in order, so the bytes
 * still queued tell that the first next_bytes of this end's bytes have been read, and with
 * them its first next_msgs messages. Then the present totals become the next mark.
 */
static __always_inline enum shunt_why check_bounds(const struct shunt_conf *conf,
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
	/* On the host: no more than if each member had its share of host_msgs. */
	if (queued && (msgs >= conf->max_msgs || msgs * members > conf->host_msgs))
		return WHY_MAX_MSGS;
	return WHY_REDIRECTED;
}

#endif
