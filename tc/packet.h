/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the headers of a packet at a tc hook, with any link layer. */
#ifndef SHUNT_PACKET_H
#define SHUNT_PACKET_H

#include <shunt/bpf/maps.bpf.h>

#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021AD 0x88A8

/* What a tc or tcx program returns. */
#define TC_NEXT (-1) /* TC_ACT_UNSPEC, TCX_NEXT: other programs see the packet, too */
#define TC_DROP 2    /* TC_ACT_SHOT, TCX_DROP */

/* skb->pkt_type: include/uapi/linux/if_packet.h */
#define PACKET_HOST 0
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3
#define PACKET_LOOPBACK 5 /* multicast or broadcast that this host sent */

#define IP_OFFSET 0x1fff
#define IP_MF 0x2000
#define IP6_OFFSET 0xfff8
#define IP6_MF 0x0001
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* VLAN tags in the frame. The kernel removes the outer tag of a packet that arrives. */
#define MAX_VLAN_TAGS 2

/* RFC 8200 4, RFC 4302: the extension headers that may stand before TCP or UDP */
#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_AUTH 51
#define IPV6_DEST_OPTIONS 60
#define MAX_EXTENSIONS 8

enum parsed {
	PARSED_OTHER,     /* neither TCP nor UDP over IP, or on a source route */
	PARSED_MALFORMED, /* headers contradict each other, or there are too many */
	PARSED_FRAGMENT,  /* the ports are set only for the first fragment of UDP */
	PARSED_PORTS,     /* all of struct packet is set */
};

struct packet {
	__u8 src[16]; /* network byte order; IPv4 in the first four bytes */
	__u8 dst[16];
	__u16 sport; /* host byte order */
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u8 tcp_flags;
	__u8 first; /* this is the first fragment */
	__u32 ifindex;
	__u32 fragment;   /* identification of the datagram */
	__u8 tcp_seqs[8]; /* sequence and acknowledgement number, as in the header */
	__u16 vlan_bytes; /* VLAN tags between network header and IP header: their length */
	__u16 group;      /* the link layer sends it to many hosts; set by the caller of parse() */
	__u32 at;         /* offset of the transport header from the network header */
	__u32 tcp_bytes;  /* length of the data */
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

struct tcp_header {
	__be16 sport;
	__be16 dport;
	__u8 seqs[8];
	__u8 doff; /* upper half: length in units of four bytes */
	__u8 flags;
	__be16 window;
	__be16 check;
	__be16 urgent;
};

struct udp_header {
	__be16 sport;
	__be16 dport;
	__be16 len;
	__be16 check;
};

struct extension_header {
	__u8 next;
	__u8 len; /* beyond the first eight bytes, in units of eight (AUTH: four) */
	__u8 type;
	__u8 segments_left;
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* The offset of the network header for bpf_skb_load_bytes(): the length of the Ethernet
 * header, or 0 if the device has none. */
static __always_inline __u32 network_offset(struct __sk_buff *skb)
{
	const struct sk_buff *k = (const void *)skb;
	const unsigned char *head = BPF_CORE_READ(k, head), *data = BPF_CORE_READ(k, data);

	return head + BPF_CORE_READ(k, network_header) - data;
}

/* The slower way, for headers that a driver left outside the packet's head. */
static __noinline int load_outside(struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	return bpf_skb_load_bytes(skb, network_offset(skb) + at, to, size);
}

/* Offsets count from the network header, which every device has. */
#define LOAD(skb, at, to) \
	(!bpf_skb_load_bytes_relative(skb, at, to, sizeof(*(to)), BPF_HDR_START_NET) || \
	 !load_outside(skb, at, to, sizeof(*(to))))

/* No header has the packet's end: a packet that was merged from many may be longer than a
 * length field allows. */
#define NO_END (~0U)

/* Whether the packet reaches this offset. It may be longer, because frames are padded. */
static __always_inline bool reaches(struct __sk_buff *skb, __u32 end)
{
	return end == NO_END || end + ETH_HLEN <= skb->len ||
	       (end <= skb->len && network_offset(skb) + end <= skb->len);
}

static __always_inline bool same_address(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/* Reads the TCP header at offset at. end is where the IP packet ends, or NO_END. */
static __always_inline enum parsed parse_tcp(struct __sk_buff *skb, __u32 at, __u32 end,
					     struct packet *pkt)
{
	struct tcp_header h;
	__u32 len;

	if (!LOAD(skb, at, &h))
		return PARSED_MALFORMED;
	len = (h.doff >> 4) * 4;
	if (len < sizeof(h) || at + len > end)
		return PARSED_MALFORMED;
	pkt->sport = bpf_ntohs(h.sport);
	pkt->dport = bpf_ntohs(h.dport);
	pkt->tcp_flags = h.flags;
	pkt->tcp_bytes = (end == NO_END ? skb->len : end) - at - len;
	__builtin_memcpy(pkt->tcp_seqs, h.seqs, sizeof(h.seqs));
	return PARSED_PORTS;
}

/* The same for UDP. */
static __always_inline enum parsed parse_udp(struct __sk_buff *skb, __u32 at, __u32 end,
					     struct packet *pkt)
{
	struct udp_header h;
	__u32 len;

	if (!LOAD(skb, at, &h))
		return PARSED_MALFORMED;
	len = bpf_ntohs(h.len);
	/* RFC 2675: for IPv6, 0 means up to the end of the packet */
	if (at + sizeof(h) > end || at + len > end ||
	    (len < sizeof(h) && (len || pkt->family == AF_INET)))
		return PARSED_MALFORMED;
	pkt->sport = bpf_ntohs(h.sport);
	pkt->dport = bpf_ntohs(h.dport);
	return PARSED_PORTS;
}

static __always_inline enum parsed parse_ports(struct __sk_buff *skb, __u32 at, __u32 end,
					       struct packet *pkt)
{
	pkt->at = at;
	if (pkt->proto == IPPROTO_TCP)
		return parse_tcp(skb, at, end, pkt);
	if (pkt->proto == IPPROTO_UDP)
		return parse_udp(skb, at, end, pkt);
	return PARSED_OTHER;
}

/* Reads the ports of a first fragment. Lengths can't be checked without the other fragments. */
static __always_inline enum parsed parse_first(struct __sk_buff *skb, __u32 at, struct packet *pkt)
{
	struct udp_header h;

	pkt->first = 1;
	if (pkt->proto != IPPROTO_UDP)
		return PARSED_FRAGMENT;
	if (!LOAD(skb, at, &h))
		return PARSED_MALFORMED;
	pkt->sport = bpf_ntohs(h.sport);
	pkt->dport = bpf_ntohs(h.dport);
	return PARSED_FRAGMENT;
}

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, __u32 at, struct packet *pkt)
{
	struct ipv4_header h;
	__u32 ihl, len, end;

	if (!LOAD(skb, at, &h))
		return PARSED_MALFORMED;
	ihl = (h.version_ihl & 0xf) * 4;
	len = bpf_ntohs(h.tot_len);
	end = len || !skb->gso_size ? at + len : NO_END;
	if (h.version_ihl >> 4 != 4 || ihl < sizeof(h) || end < at + ihl || !reaches(skb, end))
		return PARSED_MALFORMED;
	pkt->family = AF_INET;
	pkt->proto = h.protocol;
	__builtin_memcpy(pkt->src, h.src, 4);
	__builtin_memcpy(pkt->dst, h.dst, 4);
	pkt->at = at + ihl;
	if (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP)
		return PARSED_OTHER;
	if (h.frag_off & bpf_htons(IP_OFFSET | IP_MF)) {
		pkt->fragment = h.id;
		return h.frag_off & bpf_htons(IP_OFFSET) ? PARSED_FRAGMENT
							 : parse_first(skb, at + ihl, pkt);
	}
	return parse_ports(skb, at + ihl, end, pkt);
}

/* Skips the extension header at *at. PARSED_PORTS means that the caller is to read on. */
static __always_inline enum parsed parse_extension(struct __sk_buff *skb, __u32 *at,
						   struct packet *pkt)
{
	struct extension_header h;
	struct fragment_header f;

	if (pkt->proto == IPV6_FRAGMENT) {
		if (!LOAD(skb, *at, &f))
			return PARSED_MALFORMED;
		/* RFC 6946: a packet in one piece may have a fragment header, too */
		*at += sizeof(f);
		pkt->proto = f.next;
		pkt->fragment = f.id;
		if (f.offset & bpf_htons(IP6_OFFSET))
			return PARSED_FRAGMENT;
		if (f.offset & bpf_htons(IP6_MF))
			return parse_first(skb, *at, pkt);
		return PARSED_PORTS;
	}
	if (!LOAD(skb, *at, &h))
		return PARSED_MALFORMED;
	/* RFC 8200 4.4: the packet has other destinations first */
	if (pkt->proto == IPV6_ROUTING && h.segments_left)
		return PARSED_OTHER;
	*at += pkt->proto == IPV6_AUTH ? (h.len + 2) * 4 : (h.len + 1) * 8;
	pkt->proto = h.next;
	return PARSED_PORTS;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_FRAGMENT ||
	       next == IPV6_AUTH || next == IPV6_DEST_OPTIONS;
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, __u32 at, struct packet *pkt)
{
	struct ipv6_header h;
	enum parsed parsed;
	__u32 len, end;
	int i;

	if (!LOAD(skb, at, &h) || h.version_class >> 4 != 6)
		return PARSED_MALFORMED;
	pkt->family = AF_INET6;
	pkt->proto = h.next;
	__builtin_memcpy(pkt->src, h.src, 16);
	__builtin_memcpy(pkt->dst, h.dst, 16);
	at += sizeof(h);
	len = bpf_ntohs(h.payload_len);
	/* RFC 2675: 0 if a hop-by-hop option has the length */
	end = len || (h.next != IPV6_HOP_BY_HOP && !skb->gso_size) ? at + len : NO_END;
	if (!reaches(skb, end))
		return PARSED_MALFORMED;
	for (i = 0; i < MAX_EXTENSIONS && is_extension(pkt->proto); i++) {
		parsed = parse_extension(skb, &at, pkt);
		if (parsed != PARSED_PORTS) {
			pkt->at = at;
			return parsed;
		}
	}
	return is_extension(pkt->proto) ? PARSED_MALFORMED : parse_ports(skb, at, end, pkt);
}

static __always_inline bool is_vlan_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* See parse(). Not static: the verifier checks the function once, not for each caller, and
 * it has its own stack. */
__weak __attribute__((noinline)) int shunt_parse(struct __sk_buff *skb, struct packet *pkt)
{
	__be16 proto = skb->protocol;
	struct vlan_tag tag;
	__u32 at = 0;
	int i;

	if (!pkt)
		return PARSED_OTHER;

	for (i = 0; i < MAX_VLAN_TAGS && is_vlan_tag(proto); i++) {
		if (!LOAD(skb, at, &tag))
			return PARSED_MALFORMED;
		at += sizeof(tag);
		proto = tag.proto;
	}
	pkt->vlan_bytes = at;
	if (proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(skb, at, pkt);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(skb, at, pkt);
	return PARSED_OTHER;
}

/* Fills *pkt, which must be zeroed. The caller sets ifindex and group. */
static __always_inline enum parsed parse(struct __sk_buff *skb, struct packet *pkt)
{
	return shunt_parse(skb, pkt);
}

#endif
