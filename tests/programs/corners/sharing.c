// SPDX-License-Identifier: GPL-2.0-only
/* Sockets that are connected again, inherited, or used by several threads. */
#include "corners.h"

#include <pthread.h>
#include <sys/wait.h>

/* The same socket, connected again to another listener. */
static void disconnect(void)
{
	struct sockaddr any = { .sa_family = AF_UNSPEC };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		die("listen");
	say_ret("disconnect", connect(client, &any, sizeof(any)));
	say_ret("peer", recv(server, buf, 100, 0));
	close(server);
	nonblocking(client, false);
	say_ret("connect", connect(client, (void *)&addr, len));
	nonblocking(client, true);
	server = accept(listener, NULL, NULL);
	nonblocking(server, true);
	heat_up();
	send_all(server, "hello", 5);
	say("bytes", "%zu", recv_all(client, buf, 5));
}

static void descriptors(void)
{
	int copy = dup(client);
	pid_t pid = fork();

	if (!pid) {
		send_all(copy, "child", 5);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(client);
	client = copy;
	say("from the child", "%zu", recv_all(server, buf, 5));
	heat_up();
	say("still", "open");
}

/* Two readers of one socket, each in a thread. */
static size_t got[2];
static void *reader(void *arg)
{
	size_t *sum = arg;
	char room[1000];
	ssize_t n;

	for (;;) {
		if (!ready(client, POLLIN, 3000))
			break;
		n = recv(client, room, sizeof(room), 0);
		if (n > 0)
			*sum += n;
		else if (!n || errno != EAGAIN)
			break;
	}
	return NULL;
}

static void two_readers(void)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, reader, &got[i]);
	for (i = 0; i < 3000; i++)
		send_all(server, buf, 1000);
	shutdown(server, SHUT_WR);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	say("bytes", "%zu", got[0] + got[1]);
}

/* Two writers: each one's messages of 100 bytes must stay whole and in order. */
static void *writer(void *arg)
{
	char message[100];
	uint32_t i;

	memset(message, *(char *)arg, sizeof(message));
	for (i = 0; i < 20000; i++) {
		memcpy(message + 1, &i, 4);
		while (send(server, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
			ready(server, POLLOUT, 1000);
	}
	return NULL;
}

static void two_writers(void)
{
	uint32_t next[2] = {}, number;
	pthread_t t[2];
	int i, wrong = 0;
	char message[100];

	pthread_create(&t[0], NULL, writer, "a");
	pthread_create(&t[1], NULL, writer, "b");
	for (i = 0; i < 40000; i++) {
		if (recv_all(client, message, 100) != 100)
			break;
		memcpy(&number, message + 1, 4);
		if (message[99] != message[0] || number != next[message[0] == 'b']++)
			wrong++;
	}
	say("messages", "%d", i);
	say("wrong", "%d", wrong);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

const struct corner sharing_cases[] = {
	{ "disconnect", disconnect },
	{ "descriptors", descriptors },
	{ "two-readers", two_readers },
	{ "two-writers", two_writers },
	{},
};
