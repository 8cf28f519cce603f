/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP connections that were steered, remembered without their sockets, which a router that
 * crashed has lost. The entries are in buckets without locks. A new connection in a full
 * bucket replaces the oldest one. Only requests for connections write here.
 */
#ifndef SHUNT_REMEMBERED_H
#define SHUNT_REMEMBERED_H

#include "flows.h"

struct shunt_steered_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_STEERED_BUCKETS);
	__type(key, __u32);
	__type(value, struct shunt_steered);
};
MAP(shunt_steered);

/* One entry for each CPU: flows that were examined within the last seconds, and passed. */
struct shunt_let_pass_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_let_pass);
};
MAP(shunt_let_pass);

#define HASH_BITS (~0xffffULL) /* of an entry; the other bits are a time */

/* Without the interface: later packets may arrive at another one. */
static NOT_INLINED __u64 connection_hash(const struct packet *pkt, const struct shunt_conf *conf)
{
	return flow_hash(pkt, conf, 0);
}

static __always_inline struct shunt_steered *steered_bucket(__u64 hash)
{
	__u32 i = (__u32)hash & (SHUNT_STEERED_BUCKETS - 1);

	return bpf_map_lookup_elem(&shunt_steered, &i);
}

/* The connection's entry in the bucket; NULL if there is none. */
static __always_inline __u64 *steered_find(struct shunt_steered *b, __u64 hash)
{
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_STEERED_BUCKET_FLOWS; i++)
		if (!((b->entry[i] ^ hash) & HASH_BITS))
			return &b->entry[i];
	return NULL;
}

/* The entry that a new connection may replace: a free one, or that of the oldest connection. */
static __always_inline __u64 *steered_replaceable(struct shunt_steered *b, __u16 began)
{
	__u64 *ret = &b->entry[0];
	__u32 age, most = 0;
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_STEERED_BUCKET_FLOWS; i++) {
		age = b->entry[i] ? (__u16)(began - b->entry[i]) : 0x10000;
		if (age >= most) {
			most = age;
			ret = &b->entry[i];
		}
	}
	return ret;
}

/* Enters a connection whose request was steered. */
static NOT_INLINED int remember(__u64 hash)
{
	struct shunt_steered *b = steered_bucket(hash);
	__u16 began = tick_now() / SHUNT_STEERED_TICKS;
	__u64 *entry;

	if (!b)
		return 0;
	entry = steered_find(b, hash);
	if (!entry)
		entry = steered_replaceable(b, began);
	*entry = (hash & HASH_BITS) | began;
	return 0;
}

/* Deletes the entry of a connection whose request was not steered: it is not the router's. */
static NOT_INLINED int forget(__u64 hash)
{
	struct shunt_steered *b = steered_bucket(hash);
	__u64 *entry = b ? steered_find(b, hash) : NULL;

	if (entry)
		*entry = 0;
	return 0;
}

static NOT_INLINED int is_remembered(__u64 hash)
{
	struct shunt_steered *b = steered_bucket(hash);

	return b && steered_find(b, hash);
}

/* Where the flow is noted if it was let pass. */
static __always_inline __u64 *pass_entry(__u64 hash)
{
	__u32 zero = 0;
	struct shunt_let_pass *p = bpf_map_lookup_elem(&shunt_let_pass, &zero);

	return p ? &p->entry[hash & (SHUNT_LET_PASS - 1)] : NULL;
}

/* Whether the flow was examined, and let pass, within the last SHUNT_LET_PASS_TICKS. */
static __always_inline bool was_let_pass(__u64 hash, __u32 tick)
{
	const __u64 *flow = pass_entry(hash);

	return flow && !((*flow ^ hash) & HASH_BITS) &&
	       (__u16)(tick - *flow) <= SHUNT_LET_PASS_TICKS;
}

static __always_inline void remember_let_pass(__u64 hash, __u32 tick)
{
	__u64 *flow = pass_entry(hash);

	if (flow)
		*flow = (hash & HASH_BITS) | (__u16)tick;
}

#endif
