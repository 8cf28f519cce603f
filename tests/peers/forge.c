// SPDX-License-Identifier: GPL-2.0-only
/*
 * forge SRC SPORT DST DPORT udp TEXT
 * forge SRC SPORT DST DPORT tcp FLAGS SEQ ACK [COUNT]
 *
 * Sends a packet whose source is the address of another host, by this host's route to
 * DST. FLAGS are letters of FSRPA. With COUNT many packets are sent, whose SEQ and ACK
 * grow by 0x10000001.
 */
#include "peer.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

static union address from, to;
static int fd;

static uint32_t add_up(const void *bytes, size_t size)
{
	const unsigned char *b = bytes;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < size; i++)
		sum += i & 1 ? b[i] : b[i] << 8;
	return sum;
}

static uint16_t checksum(const void *l4, size_t size, int proto)
{
	uint32_t sum = add_up(l4, size) + proto + size;

	if (from.sa.sa_family == AF_INET)
		sum += add_up(&from.in.sin_addr, 4) + add_up(&to.in.sin_addr, 4);
	else
		sum += add_up(&from.in6.sin6_addr, 16) + add_up(&to.in6.sin6_addr, 16);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static size_t put_header(unsigned char *packet, size_t size, int proto)
{
	struct iphdr v4 = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = proto,
		.saddr = from.in.sin_addr.s_addr,
		.daddr = to.in.sin_addr.s_addr,
	};
	struct ip6_hdr v6 = {
		.ip6_flow = htonl(6U << 28),
		.ip6_plen = htons(size),
		.ip6_nxt = proto,
		.ip6_hlim = 64,
		.ip6_src = from.in6.sin6_addr,
		.ip6_dst = to.in6.sin6_addr,
	};

	if (from.sa.sa_family == AF_INET)
		memcpy(packet, &v4, sizeof(v4));
	else
		memcpy(packet, &v6, sizeof(v6));
	return from.sa.sa_family == AF_INET ? sizeof(v4) : sizeof(v6);
}

static void send_l4(const void *l4, size_t size, int proto)
{
	unsigned char packet[2048];
	size_t header = put_header(packet, size, proto);
	union address where = to;

	memcpy(packet + header, l4, size);
	where.in.sin_port = 0;
	if (sendto(fd, packet, header + size, 0, &where.sa, address_len(&where)) < 0)
		die("send");
}

static void send_udp(const char *text)
{
	struct {
		struct udphdr h;
		char text[1024];
	} p = { .h = { .uh_sport = from.in.sin_port, .uh_dport = to.in.sin_port } };
	size_t size = sizeof(p.h) + strlen(text) + 1;

	snprintf(p.text, sizeof(p.text), "%s\n", text);
	p.h.uh_ulen = htons(size);
	p.h.uh_sum = checksum(&p, size, IPPROTO_UDP);
	send_l4(&p, size, IPPROTO_UDP);
}

static void send_tcp(const char *flags, uint32_t seq, uint32_t ack)
{
	struct tcphdr h = {
		.source = from.in.sin_port,
		.dest = to.in.sin_port,
		.seq = htonl(seq),
		.ack_seq = htonl(ack),
		.doff = 5,
		.window = htons(1024),
		.fin = !!strchr(flags, 'F'),
		.syn = !!strchr(flags, 'S'),
		.rst = !!strchr(flags, 'R'),
		.psh = !!strchr(flags, 'P'),
		.ack = !!strchr(flags, 'A'),
	};

	h.check = checksum(&h, sizeof(h), IPPROTO_TCP);
	send_l4(&h, sizeof(h), IPPROTO_TCP);
}

int main(int argc, char **argv)
{
	uint32_t seq, ack, i;

	if (argc < 7)
		leave(2, "usage: forge SRC SPORT DST DPORT udp TEXT | tcp FLAGS SEQ ACK [COUNT]");
	from = address_of(argv[1], atoi(argv[2]));
	to = address_of(argv[3], atoi(argv[4]));
	fd = socket(from.sa.sa_family, SOCK_RAW, IPPROTO_RAW); /* with a header of our own */
	if (fd < 0)
		die("socket");
	if (!strcmp(argv[5], "udp")) {
		send_udp(argv[6]);
		return PASS;
	}
	if (argc < 9)
		leave(2, "forge: a number is missing");
	seq = strtoul(argv[7], NULL, 0);
	ack = strtoul(argv[8], NULL, 0);
	for (i = 0; i < (argc > 9 ? strtoul(argv[9], NULL, 0) : 1); i++)
		send_tcp(argv[6], seq + i * 0x10000001, ack + i * 0x10000001);
	return PASS;
}
