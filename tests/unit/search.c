// SPDX-License-Identifier: GPL-2.0-only
/* Helpers of the kernel become functions here; an access outside of the store fails. */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

static void *lookup(const void *map, const void *key);
static long loop(__u32 count, long (*step)(__u32 i, void *data), void *data);

#define __builtin_preserve_access_index(x) (x) /* only clang has it */
#define bpf_map_lookup_elem(map, key) lookup(map, key)
#define bpf_loop(count, step, data, flags) loop(count, step, data)

#include "rules.h"
#include "search.h"

static char *units;
static __u32 unit_count;

static void *lookup(const void *map, const void *key)
{
	static struct search search_memory;
	__u32 i = *(const __u32 *)key;

	if (map == &shunt_rules)
		return units;
	if (map == &shunt_search)
		return &search_memory;
	return i < unit_count ? units + (size_t)i * SHUNT_UNIT : NULL;
}

static long loop(__u32 count, long (*step)(__u32 i, void *data), void *data)
{
	__u32 i;

	for (i = 0; i < count && !step(i, data); i++)
		;
	return i;
}

__u32 search_rule(void *store, size_t size, const struct question *q)
{
	struct packet packet __attribute__((aligned(8))) = {
		.sport = q->sport,
		.dport = q->dport,
		.family = q->family,
		.proto = q->proto,
		.ifindex = q->ifindex,
	};
	struct rule_match found;

	units = store;
	unit_count = size / SHUNT_UNIT;
	__builtin_memcpy(packet.src, q->src, sizeof(packet.src));
	__builtin_memcpy(packet.dst, q->dst, sizeof(packet.dst));
	return shunt_find(&packet, &found);
}
