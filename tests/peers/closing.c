// SPDX-License-Identifier: GPL-2.0-only
/*
 * closing HOW [COUNT]: ends COUNT connections in one of several ways, with SIZE bytes
 * under way on each. All bytes must arrive, and then the end.
 *
 *   half-client  the client shuts its sending side, then the server answers
 *   half-server  the other way round
 *   hasty        close right after send
 *   unaccepted   data and close before accept
 *   exit         the sending process ends
 */
#include "peer.h"

#include <sys/wait.h>

#define SIZE 65536

static union address address;
static int listener;

static void send_stream(int fd)
{
	send_all(fd, stream_at(1, 0), SIZE);
}

static void expect_stream_and_end(int fd)
{
	char got[SIZE + 1];
	size_t n = recv_all(fd, got, sizeof(got));

	if (n != SIZE || !stream_matches(1, 0, got, n))
		leave(FAIL, "%zu bytes came, %d were sent", n, SIZE);
}

static void expect_no_more(int fd)
{
	if (send(fd, "x", 1, MSG_NOSIGNAL) != -1 || errno != EPIPE)
		leave(FAIL, "a send after SHUT_WR was taken");
}

static void half_close(int first, int second)
{
	send_stream(first);
	shutdown(first, SHUT_WR);
	expect_no_more(first);
	expect_stream_and_end(second);
	send_stream(second);
	shutdown(second, SHUT_WR);
	expect_stream_and_end(first);
	close(first);
	close(second);
}

static void half_client(void)
{
	int client = connect_to(&address);

	half_close(client, accept_from(listener));
}

static void half_server(void)
{
	int client = connect_to(&address);

	half_close(accept_from(listener), client);
}

static void hasty(void)
{
	int client = connect_to(&address), server = accept_from(listener);

	send_stream(client);
	close(client);
	expect_stream_and_end(server);
	close(server);
}

static void unaccepted(void)
{
	int client = connect_to(&address), server;

	send_stream(client);
	close(client);
	server = accept_from(listener);
	expect_stream_and_end(server);
	close(server);
}

static void exiting(void)
{
	pid_t child = fork();
	int server;

	if (!child) {
		close(listener);
		send_stream(connect_to(&address));
		_exit(0);
	}
	server = accept_from(listener);
	waitpid(child, NULL, 0);
	expect_stream_and_end(server);
	close(server);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{ "half-client", half_client },
	{ "half-server", half_server },
	{ "hasty", hasty },
	{ "unaccepted", unaccepted },
	{ "exit", exiting },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	int i, count = argc > 2 ? atoi(argv[2]) : 1;

	for (i = 0; ways[i].name; i++)
		if (argc > 1 && !strcmp(ways[i].name, argv[1]))
			break;
	if (!ways[i].name)
		leave(2, "usage: closing HOW [COUNT]");
	address = address_of("127.0.0.1", 0);
	listener = listen_at(&address, 1);
	while (count--)
		ways[i].run();
	return PASS;
}
