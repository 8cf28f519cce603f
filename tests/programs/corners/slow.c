// SPDX-License-Identifier: GPL-2.0-only
/* Readers that are slow, or that take a short read for the end. */
#include "corners.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

/* A little more than what one may expect to be queued at once. */
#define A_LOT ((8 << 20) + 50000)

/*
 * A short read means that there is no more (man 7 epoll): edge-triggered readers
 * go by that. This one is slow.
 */
static void short_read(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0), stalls = 0;
	size_t total = 0;
	ssize_t n;

	epoll_ctl(ep, EPOLL_CTL_ADD, client, &e);
	fill(buf, A_LOT, 4);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		send_all(server, buf, A_LOT);
		pause_ms(20000);
		_exit(0);
	}
	pause_ms(300);
	while (total < A_LOT && stalls < 20) {
		if (epoll_wait(ep, &e, 1, 500) != 1) {
			stalls++;
			continue;
		}
		do {
			pause_ms(5);
			n = recv(client, other + total, 65536, 0);
			if (n > 0)
				total += n;
		} while (n == 65536);
	}
	say("bytes", "%zu", total);
	say("no event for 500 ms", "%s", stalls ? "happened" : "never");
}

/* What libuv does: a short read and hung up, so that was all. */
static void hang_up(void)
{
	size_t total = 0;
	short events;
	ssize_t n;

	fill(buf, A_LOT, 5);
	shutdown(client, SHUT_WR);
	if (!fork()) {
		close(client);
		send_all(server, buf, A_LOT);
		_exit(0);
	}
	close(server);
	do {
		pause_ms(5);
		events = ready(client, POLLIN | POLLRDHUP, PATIENCE_MS);
		n = recv(client, other + total, 65536, 0);
		if (n > 0)
			total += n;
	} while (n && events && !(events & POLLHUP && n < 65536));
	say("bytes", "%zu", total);
}

/* How long a reader that slept waits for the rest, once it reads again. */
static void read_rest(size_t size)
{
	uint64_t begin = now_ms(), at = begin, longest = 0;
	size_t total = 0;
	ssize_t n;

	while (total <= size) {
		if (!ready(client, POLLIN, 20000))
			break;
		n = recv(client, other + total, 65536, 0);
		if (n > 0)
			total += n;
		if (now_ms() - at > longest)
			longest = now_ms() - at;
		at = now_ms();
		if (!n)
			break;
	}
	say("bytes", "%zu, %s", total, memcmp(buf, other, size) ? "wrong" : "right");
	say("paused over 500 ms", "%s", longest > 500 ? "yes" : "no");
	printf("# %s: longest pause = %d ms\n", case_name, (int)longest);
}

static void late_end(void)
{
	fill(buf, 4 << 20, 14);
	if (!fork()) {
		close(client);
		send_all(server, buf, 4 << 20);
		_exit(0);
	}
	close(server);
	pause_ms(4000);
	read_rest(4 << 20);
}

static void slow_reader(void)
{
	fill(buf, BIG, 15);
	if (!fork()) {
		struct pollfd p = { .fd = server, .events = POLLOUT };
		size_t done = 0;
		ssize_t n;

		close(client);
		while (done < BIG) {
			n = send(server, buf + done, BIG - done, MSG_NOSIGNAL);
			if (n > 0)
				done += n;
			else
				poll(&p, 1, -1);
		}
		_exit(0);
	}
	close(server);
	pause_ms(6000);
	read_rest(BIG);
}

static void stalled_reader(void)
{
	uint64_t end = now_ms() + 1000;
	size_t sent = 0;
	ssize_t n;

	while (now_ms() < end) {
		n = send(server, buf, 65536, MSG_NOSIGNAL);
		if (n > 0)
			sent += n;
		else
			pause_ms(10);
	}
	say("sent", "%s", sent > 64 << 20 ? "more than 64 MiB" : "less");
	say("read", "%s",
	    recv_all(client, other, sent < BIG ? sent : BIG) == (sent < BIG ? sent : BIG)
		    ? "all"
		    : "not all");
}

const struct corner slow_cases[] = {
	{ "short-read", short_read },
	{ "hang-up", hang_up },
	{ "late-end", late_end },
	{ "slow-reader", slow_reader },
	{ "stalled-reader", stalled_reader },
	{},
};
