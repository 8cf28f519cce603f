/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the headers of a packet at tc ingress, whatever the link layer. */
#ifndef SHUNT_PACKET_H
#define SHUNT_PACKET_H

#include "maps.bpf.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define IP_OFFSET 0x1fff
#define IP_MF 0x2000
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* RFC 8200 4, RFC 4302: the headers that may stand before TCP or UDP */
#define NEXT_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTH 51
#define NEXT_DEST 60
#define MAX_EXTENSIONS 8

enum parsed {
	PARSED_OTHER,     /* neither TCP nor UDP over IP: not ours */
	PARSED_MALFORMED, /* shorter than its headers say */
	PARSED_FRAGMENT,
	PARSED_PORTS,     /* all of struct packet is set */
};

struct packet {
	__u8 src[16];     /* network byte order; IPv4 in the first four bytes */
	__u8 dst[16];
	__u16 sport;      /* host byte order */
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u8 tcp_flags;
	__u8 pad;
	__u32 ifindex;
	__u8 tcp_seqs[8]; /* as they stand in the header: of the sender, acknowledged */
};

struct ipv4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__be16 check;
	__u8 src[4];
	__u8 dst[4];
};

struct ipv6_header {
	__u8 version_class;
	__u8 flow[3];
	__be16 payload_len;
	__u8 next;
	__u8 hop_limit;
	__u8 src[16];
	__u8 dst[16];
};

struct transport_header {
	__be16 sport;
	__be16 dport;
	__u8 rest[10];
};

#define LOAD(skb, at, to) \
	(!bpf_skb_load_bytes_relative(skb, at, to, sizeof(*(to)), BPF_HDR_START_NET))

static __always_inline enum parsed parse_ports(struct __sk_buff *skb, __u32 at, struct packet *pkt)
{
	struct transport_header h = {};

	if (pkt->proto == IPPROTO_TCP) {
		if (!LOAD(skb, at, &h))
			return PARSED_MALFORMED;
		pkt->tcp_flags = h.rest[9];
		__builtin_memcpy(pkt->tcp_seqs, h.rest, 8);
	} else if (pkt->proto == IPPROTO_UDP) {
		if (bpf_skb_load_bytes_relative(skb, at, &h, 8, BPF_HDR_START_NET))
			return PARSED_MALFORMED;
	} else {
		return PARSED_OTHER;
	}
	pkt->sport = bpf_ntohs(h.sport);
	pkt->dport = bpf_ntohs(h.dport);
	return PARSED_PORTS;
}

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, struct packet *pkt)
{
	struct ipv4_header h;
	__u32 ihl;

	if (!LOAD(skb, 0, &h))
		return PARSED_MALFORMED;
	ihl = (h.version_ihl & 0xf) * 4;
	if (h.version_ihl >> 4 != 4 || ihl < sizeof(h) || bpf_ntohs(h.tot_len) < ihl)
		return PARSED_MALFORMED;
	pkt->family = AF_INET;
	pkt->proto = h.protocol;
	__builtin_memcpy(pkt->src, h.src, 4);
	__builtin_memcpy(pkt->dst, h.dst, 4);
	if (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP)
		return PARSED_OTHER;
	if (h.frag_off & bpf_htons(IP_OFFSET | IP_MF))
		return PARSED_FRAGMENT;
	return parse_ports(skb, ihl, pkt);
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, struct packet *pkt)
{
	struct ipv6_header h;
	__u32 at = sizeof(h);
	__u8 ext[2];
	int i;

	if (!LOAD(skb, 0, &h) || h.version_class >> 4 != 6)
		return PARSED_MALFORMED;
	pkt->family = AF_INET6;
	pkt->proto = h.next;
	__builtin_memcpy(pkt->src, h.src, 16);
	__builtin_memcpy(pkt->dst, h.dst, 16);
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (pkt->proto == NEXT_FRAGMENT)
			return PARSED_FRAGMENT;
		if (pkt->proto != NEXT_HOP && pkt->proto != NEXT_ROUTING &&
		    pkt->proto != NEXT_DEST && pkt->proto != NEXT_AUTH)
			break;
		if (!LOAD(skb, at, &ext))
			return PARSED_MALFORMED;
		at += pkt->proto == NEXT_AUTH ? (ext[1] + 2) * 4 : (ext[1] + 1) * 8;
		pkt->proto = ext[0];
	}
	return parse_ports(skb, at, pkt);
}

/* Fills *pkt, which must be zeroed; ifindex is the caller's. */
static __always_inline enum parsed parse(struct __sk_buff *skb, struct packet *pkt)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse_ipv4(skb, pkt);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(skb, pkt);
	return PARSED_OTHER;
}

#endif
