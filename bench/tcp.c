// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp: one figure for TCP between two processes on this host.
 *
 * usage: tcp rr|stream|crr [-s BYTES] [-t SEC] [-w WARM_SEC] [-c CPU[,CPU]] [-b]
 *            [-u] [-i IDLE]
 *
 *   rr      request and response of BYTES: microseconds a round trip (median
 *           of batches)
 *   stream  writes of BYTES one way: Gbit/s
 *   crr     connect, one request and response, close: microseconds
 *
 * Both ends are non-blocking with epoll (-b: blocking), the client on the first
 * CPU, the server on the second. -u: a Unix socket instead. -i: as many other
 * connections, idle. Measuring starts after WARM_SEC.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_BATCHES 100000

static size_t size = 64;
static double seconds = 1, warm;
static bool blocking, unix_socket;
static int idle, cpu[2];
static union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
} addr;
static socklen_t addr_len;

static void die(const char *what)
{
	fprintf(stderr, "tcp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void pin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

struct end {
	int fd;
	int ep;
};

static void prepare(struct end *e, int fd)
{
	struct epoll_event in = { .events = EPOLLIN };
	int one = 1;

	e->fd = fd;
	e->ep = -1;
	if (!unix_socket)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (blocking)
		return;
	e->ep = epoll_create1(EPOLL_CLOEXEC);
	if (e->ep < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) || epoll_ctl(e->ep, EPOLL_CTL_ADD, fd, &in))
		die("epoll");
}

static void wait_for(const struct end *e, unsigned int events)
{
	struct epoll_event ev = { .events = events };

	if (epoll_ctl(e->ep, EPOLL_CTL_MOD, e->fd, &ev) ||
	    (epoll_wait(e->ep, &ev, 1, -1) < 0 && errno != EINTR))
		die("epoll_wait");
}

/* Reads whatever there is, waiting if need be; 0 at the end. */
static size_t get(const struct end *e, char *buf, size_t room)
{
	struct epoll_event ev;
	ssize_t n;

	for (;;) {
		n = read(e->fd, buf, room);
		if (n >= 0)
			return n;
		if (errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			die("read");
		if (!blocking && epoll_wait(e->ep, &ev, 1, -1) < 0 && errno != EINTR)
			die("epoll_wait");
	}
}

static bool get_all(const struct end *e, char *buf)
{
	size_t done = 0, n;

	for (; done < size; done += n) {
		n = get(e, buf + done, size - done);
		if (!n)
			return false;
	}
	return true;
}

static bool put_all(const struct end *e, const char *buf)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = write(e->fd, buf + done, size - done);
		if (n >= 0) {
			done += n;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return false;
		} else if (errno == EAGAIN && !blocking) {
			wait_for(e, EPOLLOUT);
			wait_for(e, EPOLLIN | EPOLLOUT);
		} else if (errno != EINTR) {
			die("write");
		}
	}
	return true;
}

static int make_socket(void)
{
	int fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static void serve(int listener, const char *mode)
{
	char *buf = malloc(1 << 20);
	struct end e;
	int i, fd;

	pin(cpu[1]);
	for (i = 0; i < idle; i++)
		if (accept(listener, NULL, NULL) < 0)
			die("accept");
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		prepare(&e, fd);
		if (!strcmp(mode, "stream"))
			while (get(&e, buf, 1 << 20))
				;
		else
			while (get_all(&e, buf) && put_all(&e, buf))
				;
		close(e.ep);
		close(fd);
	}
}

static struct end dial(void)
{
	struct end e;
	int fd = make_socket();

	if (connect(fd, &addr.any, addr_len))
		die("connect");
	prepare(&e, fd);
	return e;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void round_trip(const struct end *e, char *buf)
{
	if (!put_all(e, buf) || !get_all(e, buf))
		die("closed");
}

/* Median time of one turn, in microseconds, over batches of some 5 ms. */
static double measure(bool reconnect)
{
	static double times[MAX_BATCHES];
	struct end e = { -1, -1 };
	char *buf = calloc(1, size);
	double begin = now(), start, end;
	int i, n = 0, batch = reconnect ? 100 : 500;

	if (!reconnect)
		e = dial();
	do {
		start = now();
		for (i = 0; i < batch; i++) {
			if (reconnect)
				e = dial();
			round_trip(&e, buf);
			if (reconnect) {
				close(e.ep);
				close(e.fd);
			}
		}
		end = now();
		if (start - begin >= warm && n < MAX_BATCHES)
			times[n++] = (end - start) * 1e6 / batch;
	} while (end - begin < warm + seconds);
	if (!n)
		return 0;
	qsort(times, n, sizeof(*times), compare);
	return times[n / 2];
}

static double stream(void)
{
	char *buf = calloc(1, size);
	struct end e = dial();
	double begin = now(), from = 0, t;
	unsigned long long bytes = 0;

	do {
		if (!put_all(&e, buf))
			die("closed");
		t = now();
		if (t - begin >= warm) {
			if (!from)
				from = t;
			else
				bytes += size;
		}
	} while (t - begin < warm + seconds);
	return bytes * 8 / (t - from) / 1e9;
}

static int listen_somewhere(void)
{
	int fd;

	if (unix_socket) {
		addr.un.sun_family = AF_UNIX;
		addr_len = sizeof(sa_family_t);
	} else {
		addr.in.sin_family = AF_INET;
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr_len = sizeof(addr.in);
	}
	fd = make_socket();
	if (bind(fd, &addr.any, addr_len) || listen(fd, 1024))
		die("listen");
	addr_len = sizeof(addr);
	if (getsockname(fd, &addr.any, &addr_len))
		die("getsockname");
	return fd;
}

static int usage(void)
{
	fprintf(stderr, "usage: tcp rr|stream|crr [-s BYTES] [-t SEC] [-w WARM_SEC] "
		"[-c CPU[,CPU]] [-b] [-u] [-i IDLE]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	const char *mode = argc > 1 ? argv[1] : "";
	int c, i, listener;
	pid_t server;

	while ((c = getopt(argc - 1, argv + 1, "s:t:w:c:bui:")) != -1) {
		switch (c) {
		case 's': size = strtoul(optarg, NULL, 10); break;
		case 't': seconds = atof(optarg); break;
		case 'w': warm = atof(optarg); break;
		case 'b': blocking = true; break;
		case 'u': unix_socket = true; break;
		case 'i': idle = atoi(optarg); break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &cpu[0], &cpu[1]) == 1)
				cpu[1] = cpu[0];
			break;
		default: return usage();
		}
	}
	if (!size || size > 1 << 20)
		return usage();
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_somewhere();
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener, mode);
	}
	pin(cpu[0]);
	for (i = 0; i < idle; i++)
		dial();
	if (!strcmp(mode, "rr"))
		printf("%.2f\n", measure(false));
	else if (!strcmp(mode, "crr"))
		printf("%.2f\n", measure(true));
	else if (!strcmp(mode, "stream"))
		printf("%.2f\n", stream());
	else
		return usage();
	return 0;
}
