// SPDX-License-Identifier: GPL-2.0-only
/* Ways to read and to ask what there is: peeking, truncation, FIONREAD, urgent bytes. */
#include "corners.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

static void peek(void)
{
	int i;

	for (i = 0; i < 200; i++)
		send_all(server, "abcdefghij" + i % 10, 1);
	pause_ms(50);
	say_ret("peek of 100", recv(client, buf, 100, MSG_PEEK));
	say("peeked", "%.20s", buf);
	say_ret("peek of 1000", recv(client, buf, 1000, MSG_PEEK));
	say_ret("recv of 7", recv(client, buf, 7, 0));
	say_ret("peek", recv(client, buf, 1000, MSG_PEEK));
	say_ret("recv", recv(client, buf, 1000, 0));
	say("bytes", "%.20s", buf);
	say_ret("peek at nothing", recv(client, buf, 1000, MSG_PEEK));
}

static void peek_off(void)
{
	int zero = 0;

	say_ret("SO_PEEK_OFF", setsockopt(client, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)));
	send_all(server, "abcdefghij", 10);
	pause_ms(50);
	say_ret("first", recv(client, buf, 4, MSG_PEEK));
	say("bytes", "%.4s", buf);
	say_ret("second", recv(client, buf, 4, MSG_PEEK));
	say("then", "%.4s", buf);
}

static void truncate_some(void)
{
	send_all(server, "abcdefghij", 10);
	pause_ms(50);
	memset(buf, 'x', 100);
	say_ret("recv, MSG_TRUNC", recv(client, buf, 4, MSG_TRUNC));
	say("buffer", "%.4s", buf);
	say_ret("recv", recv(client, buf, 100, 0));
	say("bytes", "%.6s", buf);
}

static void fionread(void)
{
	int i, n = -1, total = 0, polls = 0;

	ioctl(client, FIONREAD, &n);
	say("nothing sent", "%d", n);
	for (i = 0; i < 100; i++)
		send_all(server, buf, 100);
	pause_ms(50);
	ioctl(client, FIONREAD, &n);
	say("10000 sent", "%d", n);
	say_ret("recv", recv(client, other, 3000, 0));
	ioctl(client, FIONREAD, &n);
	say("3000 read", "%d", n);
	recv_all(client, other, 7000);
	fill(buf, BIG, 1);
	if (!fork()) {
		send_all(server, buf, BIG);
		_exit(0);
	}
	while (total < BIG && polls < 1000) {
		if (!ready(client, POLLIN, PATIENCE_MS)) {
			say("stalled", "after %d", total);
			break;
		}
		ioctl(client, FIONREAD, &n);
		if (!n) { /* readable, but nothing to read */
			polls++;
			pause_ms(1);
			continue;
		}
		n = recv(client, other + total, n, 0);
		total += n > 0 ? n : 0;
	}
	wait(NULL);
	say("bytes", "%d, %s", total, total == BIG && !memcmp(buf, other, BIG) ? "right" : "wrong");
	say("readable, but FIONREAD says 0", "%s", polls > 10 ? "often" : "hardly");
}

static void outq(void)
{
	int n = -1;

	send_all(server, buf, 10000);
	ioctl(server, TIOCOUTQ, &n);
	pause_ms(50);
	ioctl(server, TIOCOUTQ, &n);
	say("unsent after a while", "%d", n);
	recv_all(client, other, 10000);
}

static volatile sig_atomic_t urgent;
static void on_urg(int sig)
{
	(void)sig;
	urgent++;
}

static void oob(void)
{
	int mark = -1;

	signal(SIGURG, on_urg);
	fcntl(client, F_SETOWN, getpid());
	send_all(server, "abc", 3);
	say_ret("send of 'd' as MSG_OOB", send(server, "d", 1, MSG_OOB));
	send_all(server, "efg", 3);
	pause_ms(100);
	say("SIGURG", "%d", (int)urgent);
	say("POLLPRI", "%x", ready(client, POLLPRI, 100));
	say_ret("recv", recv(client, buf, 100, 0));
	say("bytes", "%.*s", 3, buf);
	ioctl(client, SIOCATMARK, &mark);
	say("at mark", "%d", mark);
	say_ret("recv of MSG_OOB", recv(client, buf, 1, MSG_OOB));
	say("byte", "%c", buf[0]);
	say_ret("rest", recv(client, buf, 100, 0));
	say("rest's bytes", "%.*s", 3, buf);
}

static void oob_inline(void)
{
	int one = 1;

	setsockopt(client, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	send_all(server, "abc", 3);
	send(server, "d", 1, MSG_OOB);
	send_all(server, "efg", 3);
	pause_ms(100);
	say_ret("first recv", recv(client, buf, 100, 0));
	say_ret("second recv", recv(client, buf, 100, 0));
}

const struct corner reading_cases[] = {
	{ "peek", peek },
	{ "peek-off", peek_off },
	{ "trunc", truncate_some },
	{ "fionread", fionread },
	{ "outq", outq },
	{ "oob", oob },
	{ "oob-inline", oob_inline },
	{},
};
