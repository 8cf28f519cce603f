// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/probe_packet.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "attach/route_lookup.h"
#include "util/address.h"

#define FIRST_SEQ 1000  /* of the client */
#define REPLY_SEQ 50000 /* of the other end */

bool probe_is_group(const struct probe *f)
{
	return is_multicast(f->dst.family, f->dst.addr) ||
	       (f->dst.family == AF_INET && !memcmp(f->dst.addr, "\xff\xff\xff\xff", 4)) ||
	       route_is_broadcast(f->dst.family, f->dst.addr);
}

/* Adds len bytes, an even number, to the sum of an Internet checksum. */
static __u32 add_up(__u32 sum, const void *at, size_t len)
{
	const __u8 *p = at;
	size_t i;

	for (i = 0; i < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	return sum;
}

static __be16 checksum(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static __be16 payload_checksum(const struct probe *f, const void *payload, size_t len)
{
	size_t width = f->src.family == AF_INET ? 4 : 16;
	__u32 sum = f->proto + len;

	sum = add_up(sum, f->src.addr, width);
	sum = add_up(sum, f->dst.addr, width);
	return checksum(add_up(sum, payload, len));
}

/* The sequence numbers fit together, so that connection tracking accepts the packets. */
static size_t put_tcp(__u8 *at, const struct probe *f, enum probe_part part)
{
	bool reply = part == PART_REPLY;
	struct tcphdr h = {
		.source = htons(f->src.port),
		.dest = htons(f->dst.port),
		.seq = htonl(reply                ? REPLY_SEQ
			     : part == PART_FIRST ? FIRST_SEQ
						  : FIRST_SEQ + 1),
		.ack_seq = htonl(reply                ? FIRST_SEQ + 1
				 : part == PART_FIRST ? 0
						      : REPLY_SEQ + 1),
		.doff = sizeof(h) / 4,
		.syn = part == PART_FIRST || reply,
		.ack = part != PART_FIRST,
		.rst = part == PART_END,
		.window = htons(65535),
	};

	h.check = payload_checksum(f, &h, sizeof(h));
	memcpy(at, &h, sizeof(h));
	return sizeof(h);
}

static size_t put_udp(__u8 *at, const struct probe *f)
{
	struct udphdr h = {
		.source = htons(f->src.port),
		.dest = htons(f->dst.port),
		.len = htons(sizeof(h)),
	};

	h.check = payload_checksum(f, &h, sizeof(h));
	if (!h.check)
		h.check = 0xffff;
	memcpy(at, &h, sizeof(h));
	return sizeof(h);
}

static size_t put_ipv4(__u8 *at, const struct probe *f, size_t payload)
{
	struct iphdr h = {
		.version = 4,
		.ihl = sizeof(h) / 4,
		.tot_len = htons(sizeof(h) + payload),
		.ttl = 1,
		.protocol = f->proto,
	};

	memcpy(&h.saddr, f->src.addr, sizeof(h.saddr));
	memcpy(&h.daddr, f->dst.addr, sizeof(h.daddr));
	h.check = checksum(add_up(0, &h, sizeof(h)));
	memcpy(at, &h, sizeof(h));
	return sizeof(h);
}

static size_t put_ipv6(__u8 *at, const struct probe *f, size_t payload)
{
	struct ip6_hdr h = {
		.ip6_flow = htonl(6U << 28),
		.ip6_plen = htons(payload),
		.ip6_nxt = f->proto,
		.ip6_hlim = 1,
	};

	memcpy(&h.ip6_src, f->src.addr, sizeof(h.ip6_src));
	memcpy(&h.ip6_dst, f->dst.addr, sizeof(h.ip6_dst));
	memcpy(at, &h, sizeof(h));
	return sizeof(h);
}

size_t probe_packet(const struct probe *f, enum probe_part part, const __u8 mac[ETH_ALEN],
		    __u8 packet[PACKET_MAX])
{
	bool v6 = f->dst.family == AF_INET6;
	struct ethhdr eth = {
		.h_source = { 0x02, 's', 'h', 'u', 'n', 't' },
		.h_proto = htons(v6 ? ETH_P_IPV6 : ETH_P_IP),
	};
	struct probe way = *f;
	__u8 payload[sizeof(struct tcphdr)];
	size_t len, at = sizeof(eth);

	if (part == PART_REPLY) {
		way.src = f->dst;
		way.dst = f->src;
	}
	len = f->proto == IPPROTO_TCP ? put_tcp(payload, &way, part) : put_udp(payload, &way);
	memcpy(eth.h_dest, mac, ETH_ALEN);
	memcpy(packet, &eth, sizeof(eth));
	at += v6 ? put_ipv6(packet + at, &way, len) : put_ipv4(packet + at, &way, len);
	memcpy(packet + at, payload, len);
	return at + len;
}
