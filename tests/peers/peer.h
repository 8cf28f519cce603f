/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test peers share. A peer prints a line at each point for which its test
 * waits, and goes on when it reads a line on stdin. Exit status: 0 all was right,
 * 1 wrong bytes or a wrong result, 77 this kernel does not allow the situation.
 * Include this header first: it asks for GNU's interfaces.
 */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASS 0
#define FAIL 1
#define SKIP 77

#define PATIENCE 20000 /* ms to wait for anything */

static inline void leave(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

#define die(what) leave(FAIL, "%s: %s", what, strerror(errno))

static inline void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static inline void await_line(void)
{
	char c;

	while (read(0, &c, 1) == 1)
		if (c == '\n')
			return;
}

/* Waits for a condition. Ends the program if it does not hold after PATIENCE. */
#define until(condition) \
	do { \
		int tries_ = PATIENCE; \
		while (!(condition)) { \
			if (!tries_--) \
				leave(FAIL, "never: %s", #condition); \
			poll(NULL, 0, 1); \
		} \
	} while (0)

/*
 * The test stream: a long pattern, which each connection starts at another point. A
 * byte at a wrong offset, or of another connection, does not match.
 */
#define PERIOD 1048573
#define CHUNK 262144

static inline const char *stream_at(uint32_t seed, uint64_t offset)
{
	static union {
		uint64_t words[(PERIOD + CHUNK) / 8 + 1];
		char bytes[1];
	} table;
	char *bytes = (char *)table.words;

	if (!table.words[0]) {
		uint64_t i, x = 1, z;

		for (i = 0; i < PERIOD / 8 + 1; i++) {
			z = x += 0x9e3779b97f4a7c15;
			z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
			z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
			table.words[i] = z ^ (z >> 31);
		}
		memcpy(bytes + PERIOD, bytes, CHUNK);
	}
	return bytes + (seed * 2654435761U + offset) % PERIOD;
}

static inline bool stream_matches(uint32_t seed, uint64_t offset, const char *bytes, size_t size)
{
	return !memcmp(stream_at(seed, offset), bytes, size);
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static inline union address address_of(const char *host, int port)
{
	union address a = {};

	if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
	} else if (inet_pton(AF_INET, host, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
	} else {
		leave(FAIL, "bad address '%s'", host);
	}
	return a;
}

static inline socklen_t address_len(const union address *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static inline int port_of(const union address *a)
{
	return ntohs(a->in.sin_port); /* at the same place in both */
}

static inline void set_option(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die("setsockopt");
}

static inline void set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
		die("fcntl");
}

static inline int open_socket(const union address *a, int protocol)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);

	if (fd < 0 && protocol &&
	    (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT || errno == EINVAL))
		leave(SKIP, "this kernel has no protocol %d", protocol);
	if (fd < 0)
		die("socket");
	return fd;
}

static inline int bound_socket(union address *a, int protocol)
{
	socklen_t len = address_len(a);
	int fd = open_socket(a, protocol);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, &a->sa, len))
		die("bind");
	if (getsockname(fd, &a->sa, &len))
		die("getsockname");
	return fd;
}

/* Listens at *a, and sets its port if that was 0. */
static inline int listen_at(union address *a, int backlog)
{
	int fd = bound_socket(a, 0);

	if (listen(fd, backlog))
		die("listen");
	return fd;
}

static inline int connect_to(const union address *a)
{
	int fd = open_socket(a, 0);

	if (connect(fd, &a->sa, address_len(a)))
		die("connect");
	return fd;
}

static inline int accept_from(int listener)
{
	struct pollfd waiting = { .fd = listener, .events = POLLIN };
	int fd;

	if (poll(&waiting, 1, PATIENCE) != 1)
		leave(FAIL, "nobody connected");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		die("accept");
	return fd;
}

static inline void send_all(int fd, const void *bytes, size_t size)
{
	size_t done = 0;
	ssize_t n;

	for (; done < size; done += n) {
		n = send(fd, (const char *)bytes + done, size - done, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
	}
}

/* Reads up to size bytes, fewer only at the end of the stream. */
static inline size_t recv_all(int fd, void *bytes, size_t size)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		if (poll(&waiting, 1, PATIENCE) != 1)
			leave(FAIL, "only %zu of %zu bytes came", done, size);
		n = recv(fd, (char *)bytes + done, size - done, MSG_DONTWAIT);
		if (!n)
			break;
		if (n > 0)
			done += n;
		else if (errno != EAGAIN)
			die("recv");
	}
	return done;
}

static inline struct tcp_info info_of(int fd)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO");
	return info;
}

#endif
