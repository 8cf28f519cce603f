/* SPDX-License-Identifier: GPL-2.0-only */
/* Request and response between two non-blocking sockets of one process. */
#ifndef SHUNT_TURNS_H
#define SHUNT_TURNS_H

#include "peer.h"

/* Above the ports that clients get. */
#define SERVER_PORT 61500

static int server, client;

static void connect_pair(void)
{
	union address a = address_of("127.0.0.1", SERVER_PORT);
	int listener = listen_at(&a, 1);

	client = connect_to(&a);
	server = accept_from(listener);
	close(listener);
	set_option(client, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(server, IPPROTO_TCP, TCP_NODELAY, 1);
	set_nonblocking(client, true);
	set_nonblocking(server, true);
}

static void send_one_way(int from, int to)
{
	char bytes[64] = "", got[64];

	send_all(from, bytes, sizeof(bytes));
	if (recv_all(to, got, sizeof(got)) != sizeof(got))
		leave(FAIL, "the end came early");
}

static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static void heat_up(void)
{
	struct pollfd line = { .fd = 0, .events = POLLIN };

	say("hot");
	while (!poll(&line, 1, 0)) {
		send_one_way(client, server);
		send_one_way(server, client);
	}
	await_line();
}

#endif
