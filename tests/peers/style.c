// SPDX-License-Identifier: GPL-2.0-only
/*
 * style STYLE [SECONDS]
 *
 * Request and response of 4 KiB over one connection on 127.0.0.1, every byte
 * compared. The server is non-blocking with epoll; the client reads in STYLE:
 *
 *   epoll     non-blocking, epoll
 *   blocking  recv
 *   timeout   recv with SO_RCVTIMEO
 *   waitall   recv with MSG_WAITALL, non-blocking
 *   peek      MSG_PEEK before each recv, non-blocking
 *   fionread  reads what FIONREAD says, non-blocking, edge-triggered epoll
 *   splice    splice through a pipe, non-blocking
 *   late      epoll for half of the time, then splice
 *   lowat     SO_RCVLOWAT of 2, non-blocking
 *   paced     SO_MAX_PACING_RATE, non-blocking
 *   polls     both ends receive again and again without waiting
 *   slow      epoll, 40 turns a second
 *   renamed   the same; the process gets the name 'renamed' after some turns
 *   again     the same; at the first line on stdin the client disconnects and connects again
 *   stream    after some turns writes of 512 bytes one way, which the server reads
 *
 * Ends after SECONDS, or when a line comes on stdin. Fails when a byte is wrong
 * or nothing comes for 5 seconds.
 */
#include "peer.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>

#define SIZE 4096
#define PATIENCE_MS 5000
/* Turns before a stream. */
#define ANSWERED 8

static const char *style;
static int pipes[2];
static uint64_t deadline_ms, half_ms;

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

static bool is(const char *name)
{
	return !strcmp(style, name);
}

static void wait_readable(int fd)
{
	static int ep = -1, epoll_of = -1;
	struct epoll_event e = { .events = EPOLLIN | (is("fionread") ? EPOLLET : 0) };

	if (epoll_of != fd) {
		ep = epoll_create1(EPOLL_CLOEXEC);
		epoll_of = fd;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
			die("epoll_ctl");
	}
	if (epoll_wait(ep, &e, 1, PATIENCE_MS) != 1) {
		fprintf(stderr, "nothing to read for %d ms\n", PATIENCE_MS);
		exit(1);
	}
}

static ssize_t splice_some(int fd, char *buf, size_t room)
{
	ssize_t n = splice(fd, NULL, pipes[1], NULL, room, SPLICE_F_NONBLOCK);

	return n > 0 ? read(pipes[0], buf, n) : n;
}

/* One read in the client's style. Returns -1 with EAGAIN if there is nothing. */
static ssize_t read_some(int fd, char *buf, size_t room)
{
	int waiting = 0;

	if (is("blocking") || is("timeout"))
		return recv(fd, buf, room, 0);
	if (is("waitall"))
		return recv(fd, buf, room, MSG_WAITALL);
	if (is("peek") && recv(fd, buf, room, MSG_PEEK) < 0)
		return -1;
	if (is("splice") || (is("late") && clock_ms() > half_ms))
		return splice_some(fd, buf, room);
	if (is("fionread")) {
		if (ioctl(fd, FIONREAD, &waiting))
			die("FIONREAD");
		if (!waiting) {
			errno = EAGAIN;
			return -1;
		}
		return recv(fd, buf, (size_t)waiting < room ? (size_t)waiting : room, 0);
	}
	return recv(fd, buf, room, 0);
}

static void give_up_in_time(void)
{
	if (clock_ms() > deadline_ms + PATIENCE_MS)
		die("nothing to read");
}

static void read_all(int fd, char *buf, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = read_some(fd, buf + done, size - done);
		if (n > 0)
			done += n;
		else if (n < 0 && errno == EAGAIN && is("polls"))
			give_up_in_time();
		else if (n < 0 && errno == EAGAIN)
			wait_readable(fd);
		else
			die("read");
	}
}

static void write_all(int fd, const char *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = send(fd, buf + done, size - done, MSG_NOSIGNAL);
		if (n > 0)
			done += n;
		else if (errno == EAGAIN)
			poll(&p, 1, PATIENCE_MS);
		else
			die("write");
	}
}

static void serve(int listener)
{
	bool again = is("again");
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	char buf[65536];
	size_t done = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == ECONNRESET && again) {
			/* the old socket stays open */
			fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			again = false;
			continue;
		}
		if (!n)
			_exit(0);
		if (n > 0 && (!is("stream") || done < ANSWERED * SIZE))
			write_all(fd, buf, n);
		if (n > 0)
			done += n;
		else if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			if (!is("polls"))
				poll(&p, 1, -1);
		} else if (n < 0) {
			_exit(1);
		}
	}
}

static int dial(const struct sockaddr_in *addr)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), two = 2, rate = 1 << 30;

	if (connect(fd, (const void *)addr, sizeof(*addr)))
		die("connect");
	if (is("timeout") && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("SO_RCVTIMEO");
	if (is("lowat") && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &two, sizeof(two)))
		die("SO_RCVLOWAT");
	if (is("paced") && setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)))
		die("SO_MAX_PACING_RATE");
	if (!is("blocking") && !is("timeout") && fcntl(fd, F_SETFL, O_NONBLOCK))
		die("O_NONBLOCK");
	return fd;
}

/* Whether a line has come on stdin. */
static bool told(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return poll(&in, 1, 0) == 1 && in.revents & POLLIN;
}

static void connect_again(int fd, const struct sockaddr_in *addr)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	char line[16];

	if (read(0, line, sizeof(line)) < 1 || connect(fd, &nowhere, sizeof(nowhere)))
		die("disconnect");
	if (connect(fd, (const void *)addr, sizeof(*addr)) &&
	    (errno != EINPROGRESS || poll(&p, 1, PATIENCE_MS) != 1))
		die("connect again");
}

int main(int argc, char **argv)
{
	bool again = false, slow;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	char out[SIZE], in[SIZE];
	uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 10) : 2;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	unsigned long turn;
	size_t i;

	if (argc < 2)
		return 2;
	style = argv[1];
	slow = is("slow") || is("renamed") || is("again");
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || pipe2(pipes, O_NONBLOCK))
		die("listen");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener);
	}
	fd = dial(&addr);
	half_ms = clock_ms() + seconds * 500;
	deadline_ms = clock_ms() + seconds * 1000;
	for (turn = 0; clock_ms() < deadline_ms &&
		       ((turn % 256 && !slow) || !told() || (is("again") && !again));
	     turn++) {
		if (is("again") && !again && told()) {
			connect_again(fd, &addr);
			again = true;
		}
		if (is("renamed") && turn == 24 && prctl(PR_SET_NAME, style))
			die("PR_SET_NAME");
		for (i = 0; i < SIZE; i++)
			out[i] = turn * 31 + i * 7;
		if (is("stream") && turn >= ANSWERED) {
			for (i = 0; i < SIZE; i += 512)
				write_all(fd, out + i, 512);
			continue;
		}
		if (slow)
			usleep(25000);
		write_all(fd, out, SIZE);
		read_all(fd, in, SIZE);
		if (memcmp(in, out, SIZE)) {
			fprintf(stderr, "wrong bytes in turn %lu\n", turn);
			return 1;
		}
	}
	printf("%lu turns\n", turn);
	return 0;
}
