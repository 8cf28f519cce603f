/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps that several objects share. They are weak: the linker merges the copies, and
 * refuses copies that differ.
 */
#ifndef SHUNT_MAPS_BPF_H
#define SHUNT_MAPS_BPF_H

#include <shunt/abi.h>
#include <shunt/pair_ends.h>
#include <shunt/bpf/kernel.bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define MAP(name) struct name##_map name __weak SEC(".maps")

/* One entry: the settings. */
struct shunt_conf_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_conf);
};
MAP(shunt_conf);

/* What is attached. No program reads this map. */
struct shunt_attachment_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_ATTACHMENTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_attachment);
};
MAP(shunt_attachment);

/* Rules for the same packets as a newer rule. No program reads this map. */
struct shunt_shadowed_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHUNT_MATCHES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_match);
	__type(value, struct shunt_shadows);
};
MAP(shunt_shadowed);

/* The processes that made rules. No program reads this map. */
struct shunt_routers_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_ROUTERS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_router);
};
MAP(shunt_routers);

/* One entry: the counters. */
struct shunt_count_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_count);
};
MAP(shunt_count);

/* Sockets on the fast path, by their own cookie. */
struct shunt_socks_map {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
};
MAP(shunt_socks);

/* The storage of a paired socket, which the kernel frees with the socket. */
struct shunt_sk_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct shunt_sk);
};
MAP(shunt_sk);

/* Pairs under 'proven' admission that are, or were, watched. */
struct shunt_pairs_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_PAIRS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_pair);
};
MAP(shunt_pairs);

/* The entry of shunt_pairs, by the cookie of either end. */
struct shunt_slot_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SHUNT_PAIRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
};
MAP(shunt_slot);

/* Events that wake the supervisor. */
struct shunt_events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
};
MAP(shunt_events);

static __always_inline struct shunt_conf *conf_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_conf, &zero);
}

static __always_inline struct shunt_count *count_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_count, &zero);
}

/* The entry of a socket's pair in shunt_pairs; NULL if the pair has none. */
static __always_inline struct shunt_pair *pair_get(const struct shunt_sk *st)
{
	__u32 slot = st->slot;
	struct shunt_pair *pair;

	if (!slot)
		return NULL;
	pair = bpf_map_lookup_elem(&shunt_pairs, &slot);
	if (!pair || own_end(pair, st)->cookie != st->cookie)
		return NULL; /* another pair has the entry now */
	return pair;
}

/* Checksum of an entry without a lock. If it does not match, two CPUs wrote the entry at
 * the same time, and its values don't belong together. */
static __always_inline __u64 checksum(__u64 a, __u64 b, __u64 c, __u64 d)
{
	return a * 0x9e3779b97f4a7c15ULL + b * 0xbf58476d1ce4e5b9ULL + c * 0x94d049bb133111ebULL +
	       d * 0xd6e8feb86659fd93ULL;
}

static __always_inline void wake_supervisor(__u32 event)
{
	bpf_ringbuf_output(&shunt_events, &event, sizeof(event), 0);
}

/* Makes a pair leave: from now on it redirects only what follows redirected unread bytes. The
 * supervisor takes it out of the map. */
static __always_inline void pair_leave(struct shunt_pair *pair, __u32 why)
{
	__u32 stage = pair->stage;

	if ((stage != STAGE_ACTIVE && stage != STAGE_JOINING) ||
	    __sync_val_compare_and_swap(&pair->stage, stage, STAGE_LEAVING) != stage)
		return;
	pair->why = why;
	wake_supervisor(EVENT_LEAVING);
}

#define COUNT(field, n) \
	do { \
		struct shunt_count *count_ = count_get(); \
		if (count_) \
			count_->field += (n); \
	} while (0)

#endif
