/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads ICMP errors, which quote the packet that they are about. */
#ifndef SHUNT_QUOTE_H
#define SHUNT_QUOTE_H

#include "packet.h"

#define IPPROTO_ICMP 1
#define IPPROTO_ICMPV6 58
#define ICMP_HEADER 8
#define ICMP_CHECK 2

/* RFC 792; RFC 4443 2.1: informational messages of ICMPv6 begin at 128. */
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMPV6_INFORMATION 128

static __always_inline bool is_icmp(const struct packet *pkt)
{
	return pkt->proto == (pkt->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static __always_inline bool is_error_type(__u8 family, __u8 type)
{
	if (family == AF_INET)
		return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH ||
		       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
	return type && type < ICMPV6_INFORMATION;
}

/* Whether the packet is an ICMP error and not an IPv4 fragment. parse() recognises IPv4
 * fragments of TCP and UDP only. */
static __always_inline bool is_error(struct __sk_buff *skb, const struct packet *pkt)
{
	__be16 fragment = 0;
	__u8 type;

	if (!is_icmp(pkt) || !LOAD(skb, pkt->at, &type) || !is_error_type(pkt->family, type))
		return false;
	return pkt->family == AF_INET6 ||
	       (LOAD(skb, pkt->vlan_bytes + __builtin_offsetof(struct ipv4_header, frag_off),
		     &fragment) &&
		!(fragment & bpf_htons(IP_OFFSET | IP_MF)));
}

/* Skips the extension headers before the ports. Returns false for a fragment other than the first,
 * which has no ports, and for a packet on a source route, because its IP header does not have the
 * final destination. */
static __always_inline bool skip_quoted(struct __sk_buff *skb, struct packet *quote)
{
	struct extension_header h;
	int i;

	for (i = 0; i < MAX_EXTENSIONS && is_extension(quote->proto); i++) {
		if (!LOAD(skb, quote->at, &h))
			return false;
		if (quote->proto == IPV6_FRAGMENT && (h.type || h.segments_left >> 3))
			return false;
		if (quote->proto == IPV6_ROUTING && h.segments_left)
			return false;
		if (quote->proto == IPV6_FRAGMENT)
			quote->at += sizeof(struct fragment_header);
		else
			quote->at += quote->proto == IPV6_AUTH ? (h.len + 2) * 4 : (h.len + 1) * 8;
		quote->proto = h.next;
	}
	return true;
}

/* Reads the quoted IP header at offset base. Returns false if no ports follow. */
static __always_inline bool read_quoted_ipv4(struct __sk_buff *skb, __u32 base,
					     struct packet *quote)
{
	struct ipv4_header h;

	if (!LOAD(skb, base, &h) || h.frag_off & bpf_htons(IP_OFFSET))
		return false;
	quote->proto = h.protocol;
	quote->at = base + (h.version_ihl & 0xf) * 4;
	__builtin_memcpy(quote->src, h.src, 4);
	__builtin_memcpy(quote->dst, h.dst, 4);
	return true;
}

/* The same for IPv6. */
static __always_inline bool read_quoted_ipv6(struct __sk_buff *skb, __u32 base,
					     struct packet *quote)
{
	struct ipv6_header h;

	if (!LOAD(skb, base, &h))
		return false;
	quote->proto = h.next;
	quote->at = base + sizeof(h);
	__builtin_memcpy(quote->src, h.src, 16);
	__builtin_memcpy(quote->dst, h.dst, 16);
	return skip_quoted(skb, quote);
}

/* Reads the packet that an error quotes into *quote, which must be zeroed; quote->at is the
 * offset of the ports. Returns 0 if there are no ports. Not static: the verifier checks the
 * function once, not for each caller. */
__weak __attribute__((noinline)) int shunt_read_quote(struct __sk_buff *skb,
						      const struct packet *pkt,
						      struct packet *quote)
{
	__be16 ports[2];
	__u32 base;

	if (!pkt || !quote)
		return 0;
	base = pkt->at + ICMP_HEADER;
	quote->family = pkt->family;
	if (pkt->family == AF_INET ? !read_quoted_ipv4(skb, base, quote)
				   : !read_quoted_ipv6(skb, base, quote))
		return 0;
	if ((quote->proto != IPPROTO_TCP && quote->proto != IPPROTO_UDP) ||
	    !LOAD(skb, quote->at, &ports))
		return 0;
	quote->sport = bpf_ntohs(ports[0]);
	quote->dport = bpf_ntohs(ports[1]);
	return 1;
}

#endif
