// SPDX-License-Identifier: GPL-2.0-only
/*
 * crowd take HOST PORT TEXT             a transparent UDP listener: says "listens",
 *                                       at each line of its input how many
 *                                       datagrams it got and how many of them are
 *                                       not TEXT: "took=NUMBER wrong=NUMBER"
 * crowd send FLOWS HOST PORT TEXT [PORT TEXT]...
 *                                       three datagrams from each of FLOWS sockets
 *                                       to each PORT; "sent=NUMBER" to each
 * crowd hold FLOWS HOST PORT TEXT       at each line of its input, a datagram from
 *                                       each of FLOWS ports in a row; "sent"
 */
#include "peer.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#define BURST 3
#define BATCH 64
#define FIRST_PORT 10000

static void read_all(int fd, const char *text, unsigned long *took, unsigned long *wrong)
{
	char bytes[64];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0) {
		++*took;
		*wrong += n != (ssize_t)strlen(text) || memcmp(bytes, text, n) != 0;
	}
}

static void take(const char *host, int port, const char *text)
{
	union address at = address_of(host, port);
	unsigned long took = 0, wrong = 0;
	struct pollfd p[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	int fd = socket(at.sa.sa_family, SOCK_DGRAM, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, SOL_IP, IP_TRANSPARENT, 1);
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
	if (bind(fd, &at.sa, address_len(&at)))
		die("bind");
	say("listens");
	p[1].fd = fd;
	for (;;) {
		if (poll(p, 2, -1) < 0)
			die("poll");
		read_all(fd, text, &took, &wrong);
		if (p[0].revents) {
			await_line();
			say("took=%lu wrong=%lu", took, wrong);
		}
	}
}

static int unsent(int fd)
{
	int bytes;

	if (ioctl(fd, SIOCOUTQ, &bytes))
		die("SIOCOUTQ");
	return bytes;
}

static void send_burst(int fd, const union address *to, const char *text)
{
	int i;

	for (i = 0; i < BURST; i++)
		if (sendto(fd, text, strlen(text), 0, &to->sa, address_len(to)) < 0)
			die("sendto");
}

static void send_all_flows(unsigned long flows, const char *host, char **to, int ports)
{
	union address at;
	unsigned long i;
	int j, fd;

	for (i = 0; i < flows; i++) {
		at = address_of(host, 0);
		fd = socket(at.sa.sa_family, SOCK_DGRAM, 0);
		if (fd < 0)
			die("socket");
		for (j = 0; j < ports; j++) {
			at = address_of(host, atoi(to[2 * j]));
			send_burst(fd, &at, to[2 * j + 1]);
		}
		if (i % BATCH == 0) /* the receiver's queue is short */
			until(!unsent(fd));
		close(fd);
	}
	say("sent=%lu", flows * BURST);
}

static void hold(int flows, const char *host, int port, const char *text)
{
	struct rlimit files = { flows + 64, flows + 64 };
	int *fds = calloc(flows, sizeof(*fds)), i;
	union address to = address_of(host, port), from;

	if (!fds || setrlimit(RLIMIT_NOFILE, &files))
		die("files");
	for (i = 0; i < flows; i++) {
		from = address_of(to.sa.sa_family == AF_INET ? "0.0.0.0" : "::", FIRST_PORT + i);
		fds[i] = socket(to.sa.sa_family, SOCK_DGRAM, 0);
		if (fds[i] < 0 || bind(fds[i], &from.sa, address_len(&from)))
			die("bind");
	}
	say("holds");
	for (;;) {
		await_line();
		for (i = 0; i < flows; i++) {
			if (sendto(fds[i], text, strlen(text), 0, &to.sa, address_len(&to)) < 0)
				die("sendto");
			if (i % BATCH == 0)
				until(!unsent(fds[i]));
		}
		say("sent");
	}
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "take"))
		take(argv[2], atoi(argv[3]), argv[4]);
	if (argc == 6 && !strcmp(argv[1], "hold"))
		hold(atoi(argv[2]), argv[3], atoi(argv[4]), argv[5]);
	if (argc < 6 || argc % 2 || strcmp(argv[1], "send"))
		leave(2, "usage: crowd take HOST PORT TEXT | hold FLOWS HOST PORT TEXT |"
			 " send FLOWS HOST PORT TEXT...");
	send_all_flows(strtoul(argv[2], NULL, 10), argv[3], argv + 4, (argc - 4) / 2);
	return 0;
}
