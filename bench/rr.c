// SPDX-License-Identifier: GPL-2.0-only
/*
 * rr: request/response over one TCP connection on 127.0.0.1, both ends
 * non-blocking with epoll, on one CPU. Prints the median round trip of each
 * of several runs' batches in microseconds.
 *
 * usage: rr [-s BYTES] [-n ROUNDS] [-c CPU]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 1000

static size_t size = 64;

static void die(const char *what)
{
	fprintf(stderr, "rr: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static int ready(int fd, struct epoll_event *e)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), one = 1;

	if (ep < 0 || fcntl(fd, F_SETFL, O_NONBLOCK))
		die("epoll");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	e->events = EPOLLIN;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, e))
		die("epoll_ctl");
	return ep;
}

/* Moves exactly size bytes; false at end of file. */
static int move(int ep, int fd, char *buf, int out)
{
	struct epoll_event e;
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = out ? write(fd, buf + done, size - done) : read(fd, buf + done, size - done);
		if (n > 0)
			done += n;
		else if (!n)
			return 0;
		else if (errno != EAGAIN)
			die(out ? "write" : "read");
		else if (epoll_wait(ep, &e, 1, out ? 1 : -1) < 0 && errno != EINTR)
			die("epoll_wait");
	}
	return 1;
}

static void serve(int listener)
{
	int fd = accept(listener, NULL, NULL), ep;
	struct epoll_event e;
	char *buf = malloc(size);

	if (fd < 0)
		die("accept");
	ep = ready(fd, &e);
	while (move(ep, fd, buf, 0))
		move(ep, fd, buf, 1);
	_exit(0);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int c, i, j, fd, ep, cpu = 0, rounds = 20, listener;
	socklen_t len = sizeof(addr);
	struct epoll_event e;
	double *times, start;
	char *buf;

	while ((c = getopt(argc, argv, "s:n:c:")) != -1) {
		if (c == 's')
			size = strtoul(optarg, NULL, 10);
		else if (c == 'n')
			rounds = atoi(optarg) / BATCH;
		else if (c == 'c')
			cpu = atoi(optarg);
		else
			return 2;
	}
	if (rounds < 1 || !size)
		return 2;
	pin(cpu);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (void *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		die("listen");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener);
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (void *)&addr, sizeof(addr)))
		die("connect");
	ep = ready(fd, &e);
	buf = calloc(1, size);
	times = calloc(rounds, sizeof(*times));
	for (i = -1; i < rounds; i++) {
		start = now_us();
		for (j = 0; j < BATCH; j++)
			if (!move(ep, fd, buf, 1) || !move(ep, fd, buf, 0))
				die("closed");
		if (i >= 0)
			times[i] = (now_us() - start) / BATCH;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%.2f\n", times[rounds / 2]);
	return 0;
}
