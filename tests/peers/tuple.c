// SPDX-License-Identifier: GPL-2.0-only
/*
 * tuple NETNS NETNS: makes connections with the same four-tuple on 127.0.0.1 in two
 * network namespaces (files). Each connection must get the bytes of its own namespace only.
 */
#include "peer.h"

#include <sched.h>

#define PORT 7000
#define SIZE 4096
#define ROUNDS 16

struct index_ref {
	int netns;
	int listener;
	int client;
	int server;
};

static void open_place(struct index_ref *p, const char *netns)
{
	union address address = address_of("127.0.0.1", PORT);

	p->netns = open(netns, O_RDONLY | O_CLOEXEC);
	if (p->netns < 0 || setns(p->netns, CLONE_NEWNET))
		die(netns);
	p->listener = listen_at(&address, 1);
}

static void connect_place(struct index_ref *p)
{
	union address from = address_of("127.0.0.1", PORT + 1);
	union address to = address_of("127.0.0.1", PORT);

	if (setns(p->netns, CLONE_NEWNET))
		die("setns");
	p->client = bound_socket(&from, 0);
	if (connect(p->client, &to.sa, address_len(&to)))
		die("connect");
}

static void expect(int fd, uint32_t seed, uint64_t offset)
{
	char got[SIZE];

	if (recv_all(fd, got, SIZE) != SIZE || !stream_matches(seed, offset, got, SIZE))
		leave(FAIL, "bytes of another connection");
}

/* Sends in all four directions before it reads in any. */
static void exchange(const struct index_ref *places, uint64_t offset)
{
	int i;

	for (i = 0; i < 2; i++) {
		send_all(places[i].client, stream_at(2 * i, offset), SIZE);
		send_all(places[i].server, stream_at(2 * i + 1, offset), SIZE);
	}
	for (i = 1; i >= 0; i--) {
		expect(places[i].server, 2 * i, offset);
		expect(places[i].client, 2 * i + 1, offset);
	}
}

int main(int argc, char **argv)
{
	struct index_ref places[2];
	int i;

	if (argc != 3)
		leave(2, "usage: tuple NETNS NETNS");
	for (i = 0; i < 2; i++)
		open_place(&places[i], argv[1 + i]);
	for (i = 0; i < 2; i++)
		connect_place(&places[i]);
	for (i = 0; i < 2; i++)
		places[i].server = accept_from(places[i].listener);
	for (i = 0; i < ROUNDS; i++)
		exchange(places, i * SIZE);
	say("ready");
	await_line();
	return PASS;
}
