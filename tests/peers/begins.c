// SPDX-License-Identifier: GPL-2.0-only
/*
 * begins MANNER
 *
 * Request and response between two non-blocking sockets of its own, until a line
 * comes on stdin; says "hot" when that begins. From then on in another MANNER:
 *
 *   splice  100 turns more, in which the client splices
 *   poll    two processes receive without waiting until the next line
 */
#include "turns.h"

#include <signal.h>
#include <sys/prctl.h>

static void begin_splice(void)
{
	char bytes[64] = "", got[64];
	int i, pipes[2];

	if (pipe(pipes))
		die("pipe");
	for (i = 0; i < 100; i++) {
		send_one_way(client, server);
		memset(bytes, i, sizeof(bytes));
		send_all(server, bytes, sizeof(bytes));
		until(splice(client, NULL, pipes[1], NULL, sizeof(bytes), SPLICE_F_NONBLOCK) ==
		      sizeof(bytes));
		if (read(pipes[0], got, sizeof(got)) != sizeof(got) || memcmp(got, bytes, sizeof(got)))
			leave(FAIL, "wrong bytes in turn %d", i);
	}
}

static void receive_polling(int fd, char *byte)
{
	ssize_t n;

	while ((n = recv(fd, byte, 1, MSG_DONTWAIT)) != 1)
		if (!n || errno != EAGAIN)
			die("recv");
}

static void begin_poll(void)
{
	struct pollfd line = { .fd = 0, .events = POLLIN };
	pid_t child = fork();
	char byte;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			receive_polling(server, &byte);
			send_all(server, &byte, 1);
		}
	}
	while (!poll(&line, 1, 0)) {
		send_all(client, "x", 1);
		receive_polling(client, &byte);
	}
	kill(child, SIGKILL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} manners[] = { { "splice", begin_splice }, { "poll", begin_poll } };
	size_t i;

	for (i = 0; i < sizeof(manners) / sizeof(*manners); i++)
		if (argc == 2 && !strcmp(argv[1], manners[i].name)) {
			connect_pair();
			heat_up();
			manners[i].run();
			return PASS;
		}
	leave(2, "usage: begins splice|poll");
}
