/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: replaces addresses and ports, and corrects the checksums. */
#ifndef SHUNT_NAT_REWRITE_H
#define SHUNT_NAT_REWRITE_H

#include "nat_maps.h"

#define TCP_CHECK 16
#define UDP_CHECK 6

/* The offset of the transport checksum from the network header. */
static __always_inline __u32 check_of(const struct packet *pkt)
{
	return pkt->at + (pkt->proto == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK);
}

/* A UDP packet without a checksum stays without. A UDP checksum that comes out as 0 is
 * written as 0xffff, because 0 means none. */
static __always_inline __u64 check_flags(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/*
 * Replaces an address. at and check are the offsets of the address and of the checksum that
 * covers it, from the start of the data; check is 0 if there is none.
 *
 * If the device has computed a sum over the whole packet (CHECKSUM_COMPLETE), that sum has to
 * stay right too. bpf_l4_csum_replace() adds the change of the checksum at check. The address
 * itself changes nothing in IPv4, because the header's checksum makes up for the address. In
 * IPv6 nothing does, so BPF_F_RECOMPUTE_CSUM adds the change of the address.
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

/* Replaces a port at offset at; check is the offset of the checksum. */
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
