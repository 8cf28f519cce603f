/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: the search for the rule of a packet's destination. */
#ifndef SHUNT_NAT_SEARCH_H
#define SHUNT_NAT_SEARCH_H

#include "nat_maps.h"

struct nat_search {
	const struct packet *pkt;
	struct shunt_nat_match key;
	struct scratch *scratch;
	__u32 shapes; /* index into shunt_nat_shapes */
	__u32 found;
};

/* Copies the first len bits of addr; the other bits become 0. */
static __always_inline void copy_first_bits(__u8 *to, const __u8 *addr, __u32 len)
{
	const __u32 *from = (const __u32 *)addr;
	__u32 *word = (__u32 *)to;
	int i;

	for (i = 0; i < 4; i++) {
		if (len >= 32)
			word[i] = from[i];
		else
			word[i] = len ? from[i] & bpf_htonl(~0U << (32 - len)) : 0;
		len = len >= 32 ? len - 32 : 0;
	}
}

/* bpf_loop() callback: looks up the packet by shape i. */
static long try_shape(__u32 i, void *data)
{
	struct nat_search *s = data;
	const struct shunt_nat_shapes *shapes = bpf_map_lookup_elem(&shunt_nat_shapes, &s->shapes);
	const struct shunt_nat_target *target;

	if (!shapes || i >= shapes->count || i >= SHUNT_NAT_SHAPES)
		return 1;
	s->key.dst_len = shapes->shape[i].dst_len;
	s->key.port_len = shapes->shape[i].port_len;
	s->key.port = s->pkt->dport & (0xffff0000 >> (s->key.port_len & 31));
	copy_first_bits(s->key.dst, s->pkt->dst, s->key.dst_len);
	target = bpf_map_lookup_elem(&shunt_nat_match, &s->key);
	if (!target)
		return 0;
	s->scratch->target = *target;
	s->found = 1;
	return 1;
}

#endif
