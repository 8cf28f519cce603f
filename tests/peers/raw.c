// SPDX-License-Identifier: GPL-2.0-only
/*
 * raw IFACE MAC HEX...         sends IP packets as they are
 * raw IFACE MAC syn HOST PORT  a flood of SYNs from an address of no host
 *
 * MAC is that of the next hop.
 */
#include "peer.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>

#define SYNS 2000
#define ABSENT "198.18.0.99"

static int fd;
static struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = ETH_ALEN };

static void send_packet(const unsigned char *packet, size_t size)
{
	to.sll_protocol = htons(packet[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
	if (sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)size)
		die("send");
}

static void send_hex(const char *hex)
{
	unsigned char packet[2048];
	size_t size = 0;

	for (; hex[0] && hex[1] && size < sizeof(packet); hex += 2)
		if (sscanf(hex, "%2hhx", &packet[size++]) != 1)
			leave(2, "not hexadecimal: '%s'", hex);
	send_packet(packet, size);
}

static uint32_t add_up(const void *bytes, size_t size)
{
	const uint16_t *words = bytes;
	uint32_t sum = 0;

	for (; size > 1; size -= 2)
		sum += *words++;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void flood(const char *host, int port)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} p;
	int i;

	for (i = 0; i < SYNS; i++) {
		memset(&p, 0, sizeof(p));
		p.ip.version = 4;
		p.ip.ihl = 5;
		p.ip.tot_len = htons(sizeof(p));
		p.ip.ttl = 64;
		p.ip.protocol = IPPROTO_TCP;
		inet_pton(AF_INET, ABSENT, &p.ip.saddr);
		inet_pton(AF_INET, host, &p.ip.daddr);
		p.ip.check = fold(add_up(&p.ip, sizeof(p.ip)));
		p.tcp.source = htons(10000 + i);
		p.tcp.dest = htons(port);
		p.tcp.seq = htonl(i);
		p.tcp.doff = 5;
		p.tcp.syn = 1;
		p.tcp.window = htons(1024);
		p.tcp.check = fold(add_up(&p.tcp, sizeof(p.tcp)) + add_up(&p.ip.saddr, 8) +
				   htons(IPPROTO_TCP) + htons(sizeof(p.tcp)));
		send_packet((unsigned char *)&p, sizeof(p));
	}
}

int main(int argc, char **argv)
{
	unsigned char *mac = to.sll_addr;
	int i;

	if (argc < 4 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
			       &mac[3], &mac[4], &mac[5]) != 6)
		leave(2, "usage: raw IFACE MAC HEX... | raw IFACE MAC syn HOST PORT");
	to.sll_ifindex = if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	if (fd < 0)
		die("socket");
	if (!strcmp(argv[3], "syn") && argc == 6) {
		flood(argv[4], atoi(argv[5]));
		return PASS;
	}
	for (i = 3; i < argc; i++)
		send_hex(argv[i]);
	return PASS;
}
