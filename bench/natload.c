// SPDX-License-Identifier: GPL-2.0-only
/*
 * natload serve ADDRESS PORT
 * natload connect|pps|rr ADDRESS PORT [-n COUNT] [-p PORTS] [-t SECONDS]
 *
 * connect: COUNT connections, one after the other, a byte each way; prints
 * connections per second. pps: datagrams as fast as they go, to PORT + 10000;
 * rr: datagrams that are answered; prints how many per second. -p goes round
 * that many ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SINK 10000

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *host, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

static int bound(int type, const char *host, int port)
{
	struct sockaddr_in a = address(host, port);
	int on = 1, fd = socket(AF_INET, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	return fd;
}

/* The end that closes first keeps TIME_WAIT: let it be this one. */
static void greet(int listener)
{
	char c;
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	if (read(fd, &c, 1) == 1 && write(fd, &c, 1) != 1)
		perror("write");
	close(fd);
}

static void serve(const char *host, int port)
{
	struct pollfd p[] = {
		{ bound(SOCK_STREAM, host, port), POLLIN, 0 },
		{ bound(SOCK_DGRAM, host, port), POLLIN, 0 },
		{ bound(SOCK_DGRAM, host, port + SINK), 0, 0 }, /* fills up, and drops */
	};
	struct sockaddr_in from;
	socklen_t len;
	char c[64];
	ssize_t n;

	if (listen(p[0].fd, 1024))
		die("listen");
	puts("ready");
	fflush(stdout);
	while (poll(p, 3, -1) > 0) {
		if (p[0].revents)
			greet(p[0].fd);
		if (!p[1].revents)
			continue;
		len = sizeof(from);
		n = recvfrom(p[1].fd, c, sizeof(c), 0, (struct sockaddr *)&from, &len);
		if (n > 0)
			sendto(p[1].fd, c, n, 0, (struct sockaddr *)&from, len);
	}
}

static void connect_once(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c = 'x';

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		die("connect");
	if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1 || read(fd, &c, 1))
		die("exchange");
	close(fd);
}

static double connections(const char *host, int port, int ports, int count)
{
	double start = now();
	int i;

	for (i = 0; i < count; i++) {
		struct sockaddr_in to = address(host, port + i % ports);

		connect_once(&to);
	}
	return count / (now() - start);
}

static double datagrams(const char *host, int port, int ports, double seconds, int answered)
{
	struct timeval patience = { .tv_sec = 1 };
	int i, fd[ports];
	double start, elapsed;
	char c[16] = "";
	long n = 0;

	for (i = 0; i < ports; i++) {
		struct sockaddr_in to = address(host, port + i + (answered ? 0 : SINK));

		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (fd[i] < 0 || connect(fd[i], (struct sockaddr *)&to, sizeof(to)))
			die("connect");
	}
	start = now();
	do {
		for (i = 0; i < 64; i++, n++) {
			if (send(fd[n % ports], c, sizeof(c), 0) != sizeof(c))
				die("send");
			if (answered && recv(fd[n % ports], c, sizeof(c), 0) != sizeof(c))
				die("recv");
		}
		elapsed = now() - start;
	} while (elapsed < seconds);
	return n / elapsed;
}

int main(int argc, char **argv)
{
	int count = 10000, ports = 1, o, port;
	double seconds = 1;

	while ((o = getopt(argc, argv, "n:p:t:")) > 0) {
		if (o == 'n')
			count = atoi(optarg);
		else if (o == 'p')
			ports = atoi(optarg);
		else if (o == 't')
			seconds = atof(optarg);
		else
			return 2;
	}
	if (argc - optind != 3)
		return 2;
	port = atoi(argv[optind + 2]);
	if (!strcmp(argv[optind], "serve"))
		serve(argv[optind + 1], port);
	else if (!strcmp(argv[optind], "connect"))
		printf("%.0f\n", connections(argv[optind + 1], port, ports, count));
	else
		printf("%.0f\n", datagrams(argv[optind + 1], port, ports, seconds,
					   !strcmp(argv[optind], "rr")));
	return 0;
}
