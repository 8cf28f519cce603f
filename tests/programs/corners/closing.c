// SPDX-License-Identifier: GPL-2.0-only
/* Ends of connections: resets, lingering, half-closed ones. */
#include "corners.h"

#include <sys/wait.h>

static void linger_reset(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(server, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(server);
	pause_ms(50);
	say("events", "%x", ready(client, POLLIN | POLLOUT | POLLRDHUP, 1000));
	say_ret("recv", recv(client, buf, 100, 0));
	say_ret("again", recv(client, buf, 100, 0));
	say_ret("send", send(client, buf, 100, MSG_NOSIGNAL));
}

static void data_then_reset(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	send_all(server, "hello", 5);
	setsockopt(server, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(server);
	pause_ms(50);
	say("events", "%x", ready(client, POLLIN | POLLRDHUP, 1000));
	say_ret("recv", recv(client, buf, 100, 0));
	say_ret("again", recv(client, buf, 100, 0));
}

static void close_unread(void)
{
	send_all(client, "unread", 6);
	pause_ms(50);
	close(server);
	pause_ms(50);
	say("events", "%x", ready(client, POLLIN | POLLRDHUP, 1000));
	say_ret("recv", recv(client, buf, 100, 0));
	say_ret("send", send(client, buf, 100, MSG_NOSIGNAL));
}

static void linger_wait(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 2 };
	uint64_t begin;

	setsockopt(server, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	send_all(server, buf, 100000);
	begin = now_ms();
	say_ret("close", close(server));
	say("took", "%s", now_ms() - begin > 1000 ? "long" : "no time");
	say("bytes", "%zu", recv_all(client, other, 200000));
}

static void half_close(void)
{
	fill(buf, BIG, 3);
	send_all(client, "last", 4);
	shutdown(client, SHUT_WR);
	say("server reads", "%zu", recv_all(server, other, 100));
	say_ret("and then", recv(server, other, 100, 0));
	if (!fork()) {
		close(client);
		send_all(server, buf, BIG);
		_exit(0);
	}
	close(server);
	say("client reads", "%zu", recv_all(client, other, BIG + 1));
	say("bytes", "%s", memcmp(buf, other, BIG) ? "wrong" : "right");
	wait(NULL);
}

static void shut_read(void)
{
	shutdown(client, SHUT_RD);
	say_ret("recv", recv(client, buf, 100, 0));
	say_ret("peer sends", send(server, "hello", 5, MSG_NOSIGNAL));
	pause_ms(50);
	say_ret("recv then", recv(client, buf, 100, 0));
	send_all(client, "back", 4);
	say("the other way", "%zu", recv_all(server, buf, 4));
}

const struct corner closing_cases[] = {
	{ "linger-reset", linger_reset },
	{ "data-then-reset", data_then_reset },
	{ "close-unread", close_unread },
	{ "linger-wait", linger_wait },
	{ "half-close", half_close },
	{ "shut-read", shut_read },
	{},
};
