// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet monitor counts packets and bytes of each flow at an interface's ingress and
 * egress, in bounded memory whatever the number of flows.
 *
 * Each CPU has buckets of its own, so that nothing is locked. A flow belongs to one bucket.
 * Each packet adds to its flow's heat, which halves every 4.3 seconds. When a bucket is full,
 * a packet of a new flow displaces the coldest flow with a probability of 1 / (heat of
 * that flow + PRICE), and the new flow inherits the heat. So a flood of single packets
 * replaces only the coldest flows, and a flow that keeps sending is soon counted. Packets of
 * flows without a way are counted as missed, for each bucket. So every byte is counted, and
 * a flow has sent at most its own count plus its bucket's missed count.
 *
 * Every packet goes on as if the monitor were not there.
 */
#include "packet.h"

/* A new flow has to send as many packets as the displaced flow's heat plus this, on
 * average, before it is counted. */
#define PRICE 4

struct shunt_monitor_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_monitor);
};
MAP(shunt_monitor);

/* Load sets the sizes of both maps by the number of CPUs. */
struct shunt_buckets_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_bucket);
};
MAP(shunt_buckets);

struct shunt_ways_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_flow_counter);
};
MAP(shunt_ways);

/* A flow's key as words, for comparing and hashing. */
union flow_key {
	struct shunt_flow_counter counter;
	__u64 quad[8];
	__u32 word[16];
};

/* Two fields of 16 bits, or of 8 bits, as they stand next to each other in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORD(first, second) ((__u32)(first) | (__u32)(second) << 16)
#define PAIR(first, second) ((first) | (second) << 8)
#else
#define WORD(first, second) ((__u32)(first) << 16 | (__u32)(second))
#define PAIR(first, second) ((first) << 8 | (second))
#endif

/* A packet, as it is added to the counters. */
struct sample {
	union flow_key flow;
	__u64 hash;
	__u64 packets;
	__u64 bytes;
	__u32 tick;
	__u32 steered; /* 0 or 1 */
};

/* Multilinear hashing with secret keys, so that no sender can aim at a bucket. An IPv4 address
 * is followed by zeroes. */
static __always_inline __u64 hash_of(const union flow_key *k, const struct shunt_monitor *m)
{
	__u64 h = m->keys[SHUNT_FLOW_KEY_WORDS];
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_FLOW_KEY_WORDS; i++)
		h += m->keys[i] * k->word[i];
	return h;
}

static __always_inline bool same_flow(const struct shunt_flow_counter *counter,
				      const union flow_key *k)
{
	const union flow_key *other = (const union flow_key *)counter;
	__u64 differ = other->word[SHUNT_FLOW_KEY_WORDS - 1] ^ k->word[SHUNT_FLOW_KEY_WORDS - 1];
	int i;

#pragma unroll
	for (i = 0; i < SHUNT_FLOW_KEY_WORDS / 2; i++)
		differ |= other->quad[i] ^ k->quad[i];
	return !differ;
}

static __always_inline __u16 warmer(__u32 heat, __u64 by)
{
	return heat + by > 0xffff ? 0xffff : heat + by;
}

/* Halves the heat of all ways for each epoch that has passed. A way in use keeps a heat of 1. */
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

static __always_inline struct shunt_flow_counter *way_of(__u32 bucket, __u32 way)
{
	__u32 at = bucket * SHUNT_WAYS + way;

	return bpf_map_lookup_elem(&shunt_ways, &at);
}

/* The way with the least heat; among equal ones, a different one in each epoch. The code has no
 * branches, because no CPU could predict them. */
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

/* A pseudo-random number from the keyed hash and a counter. bpf_get_prandom_u32() would take
 * longer than all the rest. */
static __always_inline __u64 pseudo_random(const struct shunt_bucket *b, __u64 hash)
{
	__u64 n = (hash ^ b->missed_packets) * 0x9e3779b97f4a7c15;

	return (n ^ n >> 32) * 0xd6e8feb86659fd93 >> 32;
}

/* Whether the packet's flow displaces a flow of that heat. An idle flow is displaced at once. */
static __always_inline bool admits(const struct shunt_bucket *b, __u32 heat,
				   const struct sample *sample)
{
	__u64 packets = sample->packets;

	return heat <= 1 ||
	       pseudo_random(b, sample->hash) * (heat + PRICE * packets) >> 32 < packets;
}

/* The packet's flow has no way: gives it the coldest flow's way, or counts the packet as missed. */
static __always_inline void count_new_flow(struct shunt_bucket *b, __u32 bucket, __u32 tag,
					   const struct sample *sample)
{
	__u32 way = coldest(b), heat;
	struct shunt_flow_counter *counter;

	if (way >= SHUNT_WAYS)
		return;
	heat = b->heat[way];
	if (!admits(b, heat, sample)) {
		b->missed_packets += sample->packets;
		b->missed_bytes += sample->bytes;
		return;
	}
	counter = way_of(bucket, way);
	if (!counter)
		return;
	b->missed_packets += counter->packets;
	b->missed_bytes += counter->bytes;
	/* A reader ignores a way whose tag is 0 or changes while the reader copies the way.
	 * xchg is a memory barrier. */
	__sync_lock_test_and_set(&b->tag[way], 0);
	__builtin_memcpy(counter, &sample->flow, SHUNT_FLOW_KEY_WORDS * 4);
	counter->packets = sample->packets;
	counter->bytes = sample->bytes;
	counter->last = sample->tick;
	b->steered = (b->steered & ~(1 << way)) | sample->steered << way;
	b->heat[way] = warmer(heat, PRICE * sample->packets);
	__sync_lock_test_and_set(&b->tag[way], tag);
}

/* The packet's flow has this way, if it is not another flow with the same tag. */
static __always_inline void count_known_flow(struct shunt_bucket *b, __u32 bucket, __u32 way,
					     const struct sample *sample)
{
	struct shunt_flow_counter *counter = way_of(bucket, way);

	if (!counter)
		return;
	if (!same_flow(counter, &sample->flow)) {
		/* Two flows have the same tag: one chance in 2^31. */
		b->missed_packets += sample->packets;
		b->missed_bytes += sample->bytes;
		return;
	}
	counter->packets += sample->packets;
	counter->bytes += sample->bytes;
	counter->last = sample->tick;
	b->heat[way] = warmer(b->heat[way], sample->packets);
	b->steered |= sample->steered << way;
}

static __always_inline void count_in(struct shunt_bucket *b, __u32 bucket,
				     const struct sample *sample)
{
	/* The tag comes from other bits of the hash than the bucket. It is never 0. */
	__u32 tag = (__u32)(sample->hash >> 8) | 1, way = SHUNT_WAYS;
	int i;

	cool(b, sample->tick >> 2);
#pragma unroll
	for (i = 0; i < SHUNT_WAYS; i++)
		if (b->tag[i] == tag)
			way = i;
	if (way < SHUNT_WAYS)
		count_known_flow(b, bucket, way, sample);
	else
		count_new_flow(b, bucket, tag, sample);
}

/* Fills the sample, except for its hash. The key is written in whole words, because a CPU stalls
 * when it reads a word whose parts it has just written. */
static __always_inline void read_sample(struct __sk_buff *skb, __u32 direction,
					const struct shunt_monitor *m, struct sample *sample)
{
	union flow_key *k = &sample->flow;
	struct packet pkt = {};
	int i;

	parse(skb, &pkt);
	if (!pkt.family)
		pkt.dport = bpf_ntohs(skb->protocol);
#pragma unroll
	for (i = 0; i < 4; i++) {
		k->word[i] = ((__u32 *)pkt.src)[i];
		k->word[4 + i] = ((__u32 *)pkt.dst)[i];
	}
	k->word[8] = WORD(pkt.sport, pkt.dport);
	k->word[9] = skb->ifindex;
	k->word[10] = WORD(PAIR(pkt.family, pkt.proto), PAIR(direction, 0));
	/* A GSO packet counts as the number of its segments. */
	sample->packets = skb->gso_segs ?: 1;
	sample->bytes = skb->len;
	sample->tick = SHUNT_TICKS(bpf_ktime_get_coarse_ns());
	sample->steered = direction == SHUNT_IN && skb->mark & m->mark;
}

static __always_inline void count_packet(struct __sk_buff *skb, __u32 direction)
{
	struct sample sample;
	const struct shunt_monitor *m;
	struct shunt_bucket *b;
	__u32 zero = 0, bucket;

	m = bpf_map_lookup_elem(&shunt_monitor, &zero);
	if (!m)
		return;
	read_sample(skb, direction, m, &sample);
	sample.hash = hash_of(&sample.flow, m);
	bucket = bpf_get_smp_processor_id() * SHUNT_BUCKETS + (sample.hash >> 40) % SHUNT_BUCKETS;
	b = bpf_map_lookup_elem(&shunt_buckets, &bucket);
	if (b)
		count_in(b, bucket, &sample);
}

SEC("tc")
int shunt_count_in(struct __sk_buff *skb)
{
	count_packet(skb, SHUNT_IN);
	return TC_NEXT;
}

SEC("tc")
int shunt_count_out(struct __sk_buff *skb)
{
	count_packet(skb, SHUNT_OUT);
	return TC_NEXT;
}

char LICENSE[] SEC("license") __weak = "GPL";
