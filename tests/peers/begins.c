// SPDX-License-Identifier: GPL-2.0-only
/*
 * begins MANNER
 *
 * Request and response between two non-blocking sockets of this process, until a line
 * comes on stdin; prints "hot" at the start. Then in another MANNER:
 *
 *   splice  100 turns more, in which the client splices
 *   repair  the client is put into repair mode with bytes unread, as a checkpoint does; a
 *           line on stdin ends that
 *   poll    two processes receive without waiting until the next line
 */
#include "turns.h"

#include <signal.h>
#include <sys/ioctl.h>
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
		if (read(pipes[0], got, sizeof(got)) != sizeof(got) ||
		    memcmp(got, bytes, sizeof(got)))
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

/* Reads a receive queue as libsoccr does. Fails if there are fewer than size bytes. */
static void dump(char *bytes, size_t size)
{
	int waiting = -1;

	set_option(client, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	if (ioctl(client, FIONREAD, &waiting) || waiting != (int)size)
		leave(FAIL, "SIOCINQ: %d, due: %zu", waiting, size);
	if (recv(client, bytes, size + 1, MSG_PEEK | MSG_DONTWAIT) != (ssize_t)size)
		leave(FAIL, "the dump has not %zu bytes", size);
}

/* Bytes sent to a socket that was dumped go by TCP, where a checkpoint's firewall rules hold
 * them up until the socket is restored. */
static void begin_repair(void)
{
	char bytes[256] = "", got[256];
	__u64 before;
	int on = 1;

	send_one_way(client, server);
	send_all(server, "earlier.", 8);
	until(readable(client, 0));
	if (setsockopt(client, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on))) {
		if (errno != EBUSY)
			die("TCP_REPAIR");
		say("busy");
		await_line();
		if (recv_all(client, got, 8) != 8)
			leave(FAIL, "what was unread is gone");
		heat_up();
		return;
	}
	dump(bytes, 8);
	before = info_of(client).tcpi_bytes_received;
	send_all(server, "later...", 8);
	until(info_of(client).tcpi_bytes_received == before + 8);
	say("dumped");
	await_line();
	set_option(client, IPPROTO_TCP, TCP_REPAIR, -1);
	if (recv_all(client, got, 16) != 16 || memcmp(got, "earlier.later...", 16))
		leave(FAIL, "wrong bytes after the dump");
	heat_up();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} manners[] = { { "splice", begin_splice },
			{ "poll", begin_poll },
			{ "repair", begin_repair } };
	size_t i;

	for (i = 0; i < sizeof(manners) / sizeof(*manners); i++)
		if (argc == 2 && !strcmp(argv[1], manners[i].name)) {
			connect_pair();
			heat_up();
			manners[i].run();
			return PASS;
		}
	leave(2, "usage: begins splice|poll|repair");
}
