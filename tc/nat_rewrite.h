/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: changing addresses and ports, and with them the checksums. */
#ifndef SHUNT_NAT_REWRITE_H
#define SHUNT_NAT_REWRITE_H

#include "nat_maps.h"

#define TCP_CHECK 16
#define UDP_CHECK 6

static __always_inline __u32 check_of(const struct packet *pkt)
{
	return pkt->at + (pkt->proto == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK);
}

/* Of UDP no checksum stays none, and none comes out as one. */
static __always_inline __u64 check_flags(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/*
 * Puts an address in the place of another; at and check are where the address
 * and the checksum over it are, from the start of the data.
 *
 * If the device summed the whole packet, that sum has to stay right: IPv4's
 * header sums up to nothing, but IPv6's changes as a whole, which the store
 * sees to, since the checksum's correction is taken for one of both.
 */
static __always_inline long put_address(struct __sk_buff *skb, __u8 family, __u32 l2, __u32 at,
					__u32 check, __u64 flags, const __u8 *old, const __u8 *new)
{
	long error;

	if (family == AF_INET) {
		__u32 was = *(const __u32 *)old, is = *(const __u32 *)new;

		error = bpf_l3_csum_replace(skb, l2 + IPV4_CHECK, was, is, 4);
		if (check)
			error |= bpf_l4_csum_replace(skb, check, was, is,
						     flags | BPF_F_PSEUDO_HDR | 4);
		return error | bpf_skb_store_bytes(skb, at, new, 4, 0);
	}
	error = bpf_skb_store_bytes(skb, at, new, 16, BPF_F_RECOMPUTE_CSUM);
	if (check)
		error |= bpf_l4_csum_replace(skb, check, 0,
					     bpf_csum_diff((__be32 *)old, 16, (__be32 *)new, 16, 0),
					     flags | BPF_F_PSEUDO_HDR);
	return error;
}

static __always_inline long put_port(struct __sk_buff *skb, __u32 at, __u32 check, __u64 flags,
				     __u16 old, __u16 new)
{
	__be16 is = bpf_htons(new);

	if (old == new)
		return 0;
	return bpf_l4_csum_replace(skb, check, bpf_htons(old), is, flags | 2) |
	       bpf_skb_store_bytes(skb, at, &is, 2, 0);
}

#endif
