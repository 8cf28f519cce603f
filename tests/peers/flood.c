// SPDX-License-Identifier: GPL-2.0-only
/*
 * flood IFACE FLOWS HEAVY PACKETS
 *
 * Sends one UDP packet of each of FLOWS flows (from 10.0.0.0/8 port 1000 to
 * 198.51.100.1 port 9) out of IFACE and, spread evenly among them, PACKETS of
 * each of HEAVY flows (from 172.16.0.1, 172.16.0.2 … port 2000 to port 443).
 * Frames have 142 bytes and a MAC address of no host. Ends when all are sent.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct udphdr udp;
	char data[100];
} __attribute__((packed));

static void fill(struct frame *f, unsigned int saddr, unsigned int sport, unsigned int dport)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, "\2\0\0\0\0\7", 6);
	f->eth.ether_type = htons(ETHERTYPE_IP);
	f->ip.version = 4;
	f->ip.ihl = 5;
	f->ip.ttl = 64;
	f->ip.protocol = IPPROTO_UDP;
	f->ip.tot_len = htons(sizeof(*f) - sizeof(f->eth));
	f->ip.saddr = htonl(saddr);
	f->ip.daddr = inet_addr("198.51.100.1");
	f->udp.source = htons(sport);
	f->udp.dest = htons(dport);
	f->udp.len = htons(sizeof(f->udp) + sizeof(f->data));
}

static struct frame frames[BATCH];
static unsigned int filled;

static void flush(int fd)
{
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH];
	unsigned int i, sent = 0;
	int n;

	for (i = 0; i < filled; i++) {
		iov[i] = (struct iovec){ &frames[i], sizeof(frames[i]) };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < filled) {
		n = sendmmsg(fd, msgs + sent, filled - sent, 0);
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
			err(1, "sendmmsg");
		sent += n > 0 ? n : 0;
	}
	filled = 0;
}

static void put(int fd, unsigned int saddr, unsigned int sport, unsigned int dport)
{
	fill(&frames[filled++], saddr, sport, dport);
	if (filled == BATCH)
		flush(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	unsigned long long i, flows, heavy, packets, due, done = 0;
	int fd, one = 1;

	if (argc != 5)
		errx(2, "usage: flood IFACE FLOWS HEAVY PACKETS");
	flows = strtoull(argv[2], NULL, 10);
	heavy = strtoull(argv[3], NULL, 10);
	packets = strtoull(argv[4], NULL, 10);
	to.sll_ifindex = if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "%s", argv[1]);
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		err(1, "PACKET_QDISC_BYPASS");
	for (i = 0; i < flows; i++) {
		put(fd, 0x0a000000 + i, 1000, 9);
		due = heavy * packets * (i + 1) / flows;
		for (; done < due; done++)
			put(fd, 0xac100001 + done % heavy, 2000, 443);
	}
	for (; done < heavy * packets; done++)
		put(fd, 0xac100001 + done % heavy, 2000, 443);
	flush(fd);
	return 0;
}
