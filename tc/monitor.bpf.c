// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet monitor: counts packets and bytes of each flow at an interface's
 * ingress and egress, in bounded memory and whatever the number of flows.
 *
 * Each CPU has buckets of its own, so that nothing is locked. A flow belongs
 * to one bucket. When its bucket is full, a packet of a new flow displaces the
 * coldest one with a probability of 1 / (its heat + 1), and inherits its heat:
 * a flood of single packets wears itself out on the coldest entries, and a
 * flow that keeps sending gets in soon. Heat halves every 4.3 seconds. What is
 * not in an entry is counted as missed, by bucket; so no byte is unaccounted
 * for, and a flow's true count is at most its entry's and its bucket's missed.
 *
 * Every packet goes on as if the monitor were not there.
 */
#include "packet.h"

/* A displaced flow's heat and this many packets are what a new one has to
 * send, on average, before it is counted. */
#define PRICE 4

/* Settings of the monitor: one entry. */
struct shunt_monitor_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_monitor);
};
MAP(shunt_monitor);

/* Both have room for all CPUs: load sets their sizes. */
struct shunt_buckets_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_bucket);
};
MAP(shunt_buckets);

struct shunt_seen_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_seen);
};
MAP(shunt_seen);

/* A flow as words, for comparing and hashing. */
union seen_key {
	struct shunt_seen seen;
	__u64 quad[8];
	__u32 word[16];
};

/* Two 16-bit fields and two 8-bit fields as they stand in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORD(first, second) ((__u32)(first) | (__u32)(second) << 16)
#define PAIR(first, second) ((first) | (second) << 8)
#else
#define WORD(first, second) ((__u32)(first) << 16 | (__u32)(second))
#define PAIR(first, second) ((first) << 8 | (second))
#endif

/* What a packet adds. */
struct sight {
	union seen_key flow;
	__u64 hash;
	__u64 packets;
	__u64 bytes;
	__u32 tick;
	__u32 steered; /* 0 or 1 */
};

/* Multilinear hashing with secret keys: nobody can aim at a bucket. IPv4 has
 * only zeroes where an IPv6 address goes on. */
static __always_inline __u64 hash_of(const union seen_key *k, const struct shunt_monitor *m)
{
	__u64 h = m->keys[SHUNT_SEEN_WORDS];
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_SEEN_WORDS; i++)
		h += m->keys[i] * k->word[i];
	return h;
}

static __always_inline bool same_flow(const struct shunt_seen *s, const union seen_key *k)
{
	const union seen_key *other = (const union seen_key *)s;
	__u64 differ = other->word[SHUNT_SEEN_WORDS - 1] ^ k->word[SHUNT_SEEN_WORDS - 1];
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_SEEN_WORDS / 2; i++)
		differ |= other->quad[i] ^ k->quad[i];
	return !differ;
}

static __always_inline __u16 warmer(__u32 heat, __u64 by)
{
	return heat + by > 0xffff ? 0xffff : heat + by;
}

/* A way in use keeps a heat of 1 at least. */
static __always_inline void cool(struct shunt_bucket *b, __u32 epoch)
{
	__u32 passed = epoch - b->epoch, heat;
	int i;

	if (!passed)
		return;
	if (passed > 16)
		passed = 16;
#pragma unroll
	for (i = 0; i < SHUNT_WAYS; i++) {
		heat = b->heat[i];
		b->heat[i] = heat >> passed | (heat + 0xffff) >> 16;
	}
	b->epoch = epoch;
}

static __always_inline struct shunt_seen *way_of(__u32 bucket, __u32 way)
{
	__u32 at = bucket * SHUNT_WAYS + way;

	return bpf_map_lookup_elem(&shunt_seen, &at);
}

/* The way with the least heat, in turn if they are the same; without branches,
 * which nobody could predict. */
static __always_inline __u32 coldest(const struct shunt_bucket *b)
{
	__s64 least = 1LL << 32, differ;
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_WAYS; i++) {
		differ = ((__s64)b->heat[i] << 6 | ((i + b->epoch) & 7) << 3 | i) - least;
		least += differ & differ >> 63;
	}
	return least & 7;
}

/* Chance: a secret hash, and a count that changes with each use. The kernel's
 * own numbers take longer than all the rest. */
static __always_inline __u64 chance(const struct shunt_bucket *b, __u64 hash)
{
	__u64 n = (hash ^ b->missed_packets) * 0x9e3779b97f4a7c15;

	return (n ^ n >> 32) * 0xd6e8feb86659fd93 >> 32;
}

/* Does it displace a flow of that heat? Who is idle gives way at once. */
static __always_inline bool admits(const struct shunt_bucket *b, __u32 heat,
				   const struct sight *sight)
{
	__u64 packets = sight->packets;

	return heat <= 1 || chance(b, sight->hash) * (heat + PRICE * packets) >> 32 < packets;
}

/* Gives the packet's flow the place of the coldest one, or counts it as missed. */
static __always_inline void miss(struct shunt_bucket *b, __u32 bucket, __u32 tag,
				 const struct sight *sight)
{
	__u32 way = coldest(b), heat;
	struct shunt_seen *s;

	if (way >= SHUNT_WAYS)
		return;
	heat = b->heat[way];
	if (!admits(b, heat, sight)) {
		b->missed_packets += sight->packets;
		b->missed_bytes += sight->bytes;
		return;
	}
	s = way_of(bucket, way);
	if (!s)
		return;
	b->missed_packets += s->packets;
	b->missed_bytes += s->bytes;
	/* Readers trust an entry whose tag is the same before and after; xchg
	 * is a barrier. */
	__sync_lock_test_and_set(&b->tag[way], 0);
	__builtin_memcpy(s, &sight->flow, SHUNT_SEEN_WORDS * 4);
	s->packets = sight->packets;
	s->bytes = sight->bytes;
	s->last = sight->tick;
	b->steered = (b->steered & ~(1 << way)) | sight->steered << way;
	b->heat[way] = warmer(heat, PRICE * sight->packets);
	__sync_lock_test_and_set(&b->tag[way], tag);
}

static __always_inline void hit(struct shunt_bucket *b, __u32 bucket, __u32 way,
				const struct sight *sight)
{
	struct shunt_seen *s = way_of(bucket, way);

	if (!s)
		return;
	if (!same_flow(s, &sight->flow)) {
		/* one chance in 2^31 */
		b->missed_packets += sight->packets;
		b->missed_bytes += sight->bytes;
		return;
	}
	s->packets += sight->packets;
	s->bytes += sight->bytes;
	s->last = sight->tick;
	b->heat[way] = warmer(b->heat[way], sight->packets);
	b->steered |= sight->steered << way;
}

static __always_inline void count_in(struct shunt_bucket *b, __u32 bucket,
				     const struct sight *sight)
{
	/* Of other bits than the bucket; 0 is for a free way. */
	__u32 tag = (__u32)(sight->hash >> 8) | 1, way = SHUNT_WAYS;
	int i;

	cool(b, sight->tick >> 2);
#pragma unroll
	for (i = 0; i < SHUNT_WAYS; i++)
		if (b->tag[i] == tag)
			way = i;
	if (way < SHUNT_WAYS)
		hit(b, bucket, way, sight);
	else
		miss(b, bucket, tag, sight);
}

static __always_inline void look(struct __sk_buff *skb, __u32 direction,
				 const struct shunt_monitor *m, struct sight *sight)
{
	union seen_key *k = &sight->flow;
	struct packet pkt = {};
	int i;

	parse(skb, &pkt);
	if (!pkt.family)
		pkt.dport = bpf_ntohs(skb->protocol);
	/* In whole words: the CPU waits if it is to read one from parts that it
	 * has just written. */
#pragma unroll
	for (i = 0; i < 4; i++) {
		k->word[i] = ((__u32 *)pkt.src)[i];
		k->word[4 + i] = ((__u32 *)pkt.dst)[i];
	}
	k->word[8] = WORD(pkt.sport, pkt.dport);
	k->word[9] = skb->ifindex;
	k->word[10] = WORD(PAIR(pkt.family, pkt.proto), PAIR(direction, 0));
	/* A run of segments that travels as one is the packets it stands for. */
	sight->packets = skb->gso_segs ?: 1;
	sight->bytes = skb->len;
	sight->tick = SHUNT_TICKS(bpf_ktime_get_coarse_ns());
	sight->steered = direction == SHUNT_IN && skb->mark & m->mark;
}

static __always_inline void see(struct __sk_buff *skb, __u32 direction)
{
	struct sight sight;
	const struct shunt_monitor *m;
	struct shunt_bucket *b;
	__u32 zero = 0, bucket;

	m = bpf_map_lookup_elem(&shunt_monitor, &zero);
	if (!m)
		return;
	look(skb, direction, m, &sight);
	sight.hash = hash_of(&sight.flow, m);
	bucket = bpf_get_smp_processor_id() * SHUNT_BUCKETS + (sight.hash >> 40) % SHUNT_BUCKETS;
	b = bpf_map_lookup_elem(&shunt_buckets, &bucket);
	if (b)
		count_in(b, bucket, &sight);
}

SEC("tc")
int shunt_see_in(struct __sk_buff *skb)
{
	see(skb, SHUNT_IN);
	return -1; /* TC_ACT_UNSPEC, TCX_NEXT */
}

SEC("tc")
int shunt_see_out(struct __sk_buff *skb)
{
	see(skb, SHUNT_OUT);
	return -1;
}

char LICENSE[] SEC("license") __weak = "GPL";
