/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a rule is found: tables, prefixes and hashes, which programs and the loader have to
 * compute in the same way. An IPv4 address is in the upper half of hi.
 */
#ifndef SHUNT_RULE_HASH_H
#define SHUNT_RULE_HASH_H

#include <shunt/abi.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

struct bits {
	__u64 hi;
	__u64 lo;
};

static __always_inline __u64 from_network(__u64 n)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(n) : n;
}

/* The bits of an address of 16 bytes, which has to be aligned to 8. Behind an IPv4 address are
 * zeros. */
static __always_inline struct bits bits_of(const __u8 *addr)
{
	struct bits b = {
		.hi = from_network(*(const __u64 *)addr),
		.lo = from_network(*(const __u64 *)(addr + 8)),
	};

	return b;
}

/* Keeps the first len bits and clears the others. */
static __always_inline struct bits first_bits(struct bits b, __u32 len)
{
	if (len <= 64) {
		b.hi = len ? b.hi & ~0ULL << (64 - len) : 0;
		b.lo = 0;
	} else {
		b.lo &= ~0ULL << (128 - len);
	}
	return b;
}

static __always_inline __u32 table_of(__u8 family, __u8 proto)
{
	return 2 * (family != 2 /* AF_INET */) + (proto != 6 /* IPPROTO_TCP */);
}

/* Prefixes of 4k + 1 to 4k + 4 bits with the same first 4k bits share an entry of the filter: k is
 * their level. Its bitmap begins with the two prefixes of 4k + 1 bits, then come the four of
 * 4k + 2 bits, and so on. */
static __always_inline __u32 level_of(__u32 len)
{
	return (len - 1) / 4;
}

/* The four bits of level k: 4k to 4k + 3. */
static __always_inline __u32 nibble_of(struct bits b, __u32 k)
{
	return k < 16 ? b.hi >> (60 - 4 * k) & 15 : b.lo >> (60 - 4 * (k & 15)) & 15;
}

/* The prefix's bit in the bitmap of its entry. */
static __always_inline __u32 filter_bit(struct bits b, __u32 len)
{
	__u32 n = (len - 1) % 4 + 1;

	return 1U << ((1U << n) - 2 + (nibble_of(b, level_of(len)) >> (4 - n)));
}

/* Set in an entry of level 8, 16 or 24: IPv6 has prefixes of that level or longer ones there. If the
 * bit is not set, a search skips all longer levels. */
#define FILTER_HAS_LONGER (1U << 31)

static __always_inline __u64 mix(__u64 seed, __u32 a, __u32 b, struct bits p)
{
	__u64 h = seed ^ ((__u64)a << 32 | b);

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
	h = ((h ^ h >> 29) + p.hi) * 0xbf58476d1ce4e5b9ULL;
	h = ((h ^ h >> 32) + p.lo) * 0x94d049bb133111ebULL;
	return h ^ h >> 31;
}

static __always_inline __u64 filter_hash(__u64 seed, __u32 parent, __u32 level, struct bits p)
{
	return mix(seed, parent, level, first_bits(p, 4 * level));
}

static __always_inline __u64 node_hash(__u64 seed, __u32 parent, __u32 len, __u32 ifindex,
				       struct bits p)
{
	return mix(seed ^ ifindex * 0xd6e8feb86659fd93ULL, parent, len | 0x100, p);
}

static __always_inline __u64 port_hash(__u64 seed, __u32 port_index_id, __u16 port)
{
	struct bits none = {};

	return mix(seed, port_index_id, port | 0x10000, none);
}

/* The upper half of a slot. The lower half of the hash gives the unit where a chain begins. */
static __always_inline __u32 tag_of(__u64 hash)
{
	return hash >> 32 | 1;
}

#endif
