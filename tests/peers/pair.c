// SPDX-License-Identifier: GPL-2.0-only
/*
 * pair KIND: one connection of a KIND that shunt has to tell from others. Bytes go over it
 * both ways. Prints "ready" while it exists, and waits for a line.
 *
 *   plain            nothing special: the control
 *   mptcp-listener   a plain client of an MPTCP listener
 *   mptcp-client     an MPTCP client of a plain listener
 *   mptcp            both
 *   tls              kTLS is set up on the client
 *   fast-open        data in the SYN
 *   disconnected     the client disconnects and connects again
 *   one-way          only the client sends
 *   closed           the client sends more and closes before "ready"
 */
#include "peer.h"

#define SIZE 4096
#define MPTCP 262 /* IPPROTO_MPTCP */

static union address address;

static int open_listener(int protocol)
{
	int fd = bound_socket(&address, protocol);

	if (listen(fd, 5))
		die("listen");
	return fd;
}

static int open_client(int protocol)
{
	int fd = open_socket(&address, protocol);

	if (connect(fd, &address.sa, address_len(&address)))
		die("connect");
	return fd;
}

static void set_tls(int fd)
{
	if (!setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4))
		return;
	if (errno == ENOENT)
		leave(SKIP, "this kernel has no kTLS");
	die("TCP_ULP");
}

static int open_fast(int listener)
{
	int i, fd = -1;

	set_option(listener, IPPROTO_TCP, TCP_FASTOPEN, 5);
	for (i = 0; i < 2; i++) { /* the first may only fetch the cookie */
		fd = open_socket(&address, 0);
		if (sendto(fd, "", 1, MSG_FASTOPEN, &address.sa, address_len(&address)) != 1)
			leave(SKIP, "no TCP Fast Open: %s", strerror(errno));
		if (info_of(fd).tcpi_options & TCPI_OPT_SYN_DATA)
			return fd;
		close(fd);
		close(accept_from(listener));
	}
	leave(SKIP, "the SYN carried no data");
	return -1;
}

static int reconnect(int fd, int listener)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	close(accept_from(listener));
	if (connect(fd, &none, sizeof(none)) || connect(fd, &address.sa, address_len(&address)))
		die("can't connect anew");
	return fd;
}

static void carry(int from, int to, uint64_t offset)
{
	char got[SIZE];

	send_all(from, stream_at(1, offset), SIZE);
	if (recv_all(to, got, SIZE) != SIZE || !stream_matches(1, offset, got, SIZE))
		leave(FAIL, "wrong bytes");
}

int main(int argc, char **argv)
{
	const char *kind = argc == 2 ? argv[1] : "";
	int listener, client, server, i;

	address = address_of("127.0.0.1", 0);
	listener = open_listener(!strcmp(kind, "mptcp-listener") || !strcmp(kind, "mptcp") ? MPTCP
											   : 0);
	if (!strcmp(kind, "fast-open"))
		client = open_fast(listener);
	else
		client = open_client(!strcmp(kind, "mptcp-client") || !strcmp(kind, "mptcp") ? MPTCP
											     : 0);
	if (!strcmp(kind, "disconnected"))
		client = reconnect(client, listener);
	server = accept_from(listener);
	if (!strcmp(kind, "fast-open") && recv_all(server, (char[1]){ 1 }, 1) != 1)
		leave(FAIL, "the byte of the SYN is missing");
	if (!strcmp(kind, "tls"))
		set_tls(client);

	for (i = 0; i < 4; i++) {
		carry(client, server, i * SIZE);
		if (strcmp(kind, "one-way"))
			carry(server, client, i * SIZE);
	}
	if (!strcmp(kind, "closed")) {
		send_all(client, stream_at(1, 0), SIZE);
		close(client);
	}
	say("ready");
	await_line();
	if (strcmp(kind, "closed"))
		carry(client, server, 0);
	return PASS;
}
