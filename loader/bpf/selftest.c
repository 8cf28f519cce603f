// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each test takes one pair of connected sockets on 127.0.0.1, put into a map of
 * our own by hand, and looks at what an application would see.
 */
#include "bpf/selftest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <shunt/abi.h>
#include "bpf/programs.h"
#include "util/cleanup.h"
#include "util/log.h"

#define WAIT_MS 1000

static struct private_bypass bypass;

/* Two ends of a connection: a sends, b reads. */
struct pair {
	int a;
	int b;
};

static void close_pair(struct pair *p)
{
	close_fd(&p->a);
	close_fd(&p->b);
}

#define _cleanup_pair_ __attribute__((cleanup(close_pair)))

static struct pair connected(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	_cleanup_fd_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
	socklen_t len = sizeof(addr);
	struct pair p = { -1, -1 };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		return p;
	p.a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p.a < 0 || connect(p.a, (void *)&addr, len))
		return p;
	p.b = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(p.b, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return p;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static bool enter(int fd, int peer)
{
	struct shunt_sk sk = {
		.cookie = cookie_of(fd),
		.peer_cookie = cookie_of(peer),
		.eager = 1,
	};
	uint64_t value = fd;

	return !bpf_map_update_elem(bypass.storage, &fd, &sk, BPF_ANY) &&
	       !bpf_map_update_elem(bypass.socks, &sk.cookie, &value, BPF_NOEXIST);
}

static bool members(const struct pair *p)
{
	return p->a >= 0 && p->b >= 0 && enter(p->a, p->b) && enter(p->b, p->a);
}

static bool sends(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Reads until it has as many bytes as text, which they have to be. */
static bool reads(int fd, const char *text)
{
	char got[4096] = "";
	size_t len = strlen(text), done = 0;
	ssize_t n;

	while (done < len) {
		n = recv(fd, got + done, len - done, 0);
		if (n <= 0)
			return false;
		done += n;
	}
	return !memcmp(got, text, len);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1;
}

static int unread(int fd)
{
	int n = -1;

	return ioctl(fd, FIONREAD, &n) ? -1 : n;
}

/* Bytes sent by TCP before the pair entered come first. */
static bool order(void)
{
	_cleanup_pair_ struct pair p = connected();

	return p.b >= 0 && sends(p.a, "AAAA") && members(&p) && sends(p.a, "BBBB") &&
	       reads(p.b, "AAAABBBB") && sends(p.a, "CCCC") && reads(p.b, "CCCC");
}

static bool close_keeps(void)
{
	_cleanup_pair_ struct pair p = connected();
	char c;

	if (!members(&p) || !sends(p.a, "last words"))
		return false;
	close(take_fd(&p.a));
	return reads(p.b, "last words") && !recv(p.b, &c, 1, 0);
}

static bool half_close(void)
{
	_cleanup_pair_ struct pair p = connected();
	char c;

	return members(&p) && sends(p.a, "question") && !shutdown(p.a, SHUT_WR) &&
	       reads(p.b, "question") && readable(p.b) && !recv(p.b, &c, 1, MSG_DONTWAIT) &&
	       sends(p.b, "answer") && reads(p.a, "answer");
}

static bool bounded(void)
{
	_cleanup_pair_ struct pair p = connected();
	static char block[65536];
	uint64_t total = 0, most = bypass.conf->max_bytes + (64 << 20);
	ssize_t n;

	if (!members(&p))
		return false;
	do {
		n = send(p.a, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
		total += n > 0 ? n : 0;
	} while (n > 0 && total < most);
	return n < 0 && errno == EAGAIN;
}

static bool epoll_tells(void)
{
	_cleanup_pair_ struct pair p = connected();
	_cleanup_fd_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	return members(&p) && !epoll_ctl(ep, EPOLL_CTL_ADD, p.b, &e) && sends(p.a, "edge") &&
	       epoll_wait(ep, &e, 1, WAIT_MS) == 1 && reads(p.b, "edge");
}

static bool fionread_redirected(void)
{
	_cleanup_pair_ struct pair p = connected();

	return members(&p) && sends(p.a, "four") && unread(p.b) == 4;
}

static bool fionread_tcp(void)
{
	_cleanup_pair_ struct pair p = connected();

	return p.b >= 0 && members(&p) && (bypass.conf->run.drain_mode = DRAIN_ALL) &&
	       sends(p.a, "four") && readable(p.b) && unread(p.b) == 4;
}

static bool blocking_eof(void)
{
	_cleanup_pair_ struct pair p = connected();
	bool ended;
	pid_t child;
	char c;

	/* The reader has to sleep when the FIN comes: sent by a child. */
	if (!members(&p))
		return false;
	child = fork();
	if (!child) {
		usleep(50000);
		shutdown(p.a, SHUT_WR);
		_exit(0);
	}
	ended = !recv(p.b, &c, 1, 0);
	waitpid(child, NULL, 0);
	return ended;
}

static bool splice_reads(void)
{
	_cleanup_pair_ struct pair p = connected();
	int pipes[2] = { -1, -1 };
	ssize_t n;

	if (!members(&p) || !sends(p.a, "splice") || pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return false;
	n = splice(p.b, NULL, pipes[1], NULL, 6, SPLICE_F_NONBLOCK);
	close(pipes[0]);
	close(pipes[1]);
	return n == 6;
}

bool selftest_holds(const struct selftest *t)
{
	bypass.conf->run.drain_mode = DRAIN_OFF;
	return t->holds();
}

const struct selftest selftests[] = {
	{ "order", false, true, "bytes sent by TCP before are read before redirected ones",
	  "redirected bytes overtake bytes sent by TCP", "do not load the bypass on this kernel",
	  order },
	{ "close", false, true, "bytes redirected right before a close arrive",
	  "bytes redirected right before a close are lost", "use Linux 6.1 or later", close_keeps },
	{ "half-close", false, true, "a half-closed connection goes on the other way",
	  "a half-closed connection breaks", "do not load the bypass on this kernel", half_close },
	{ "bound", false, true, "a reader that stalls holds the sender up",
	  "nothing holds up the sender to a reader that stalls",
	  "do not load the bypass on this kernel", bounded },
	{ "epoll", false, true, "an edge-triggered reader is told of redirected bytes",
	  "an edge-triggered reader is not told of redirected bytes",
	  "do not load the bypass on this kernel", epoll_tells },
	{ "FIONREAD", true, false, "counts redirected bytes", "does not count redirected bytes",
	  "'proven' keeps processes that ask FIONREAD out; do not vouch (eager) for them: nginx, "
	  "Java, .NET",
	  fionread_redirected },
	{ "FIONREAD by TCP", true, false, "counts bytes that reach a member by TCP",
	  "does not count bytes that reach a member by TCP: a fault of this kernel",
	  "'proven' keeps processes that ask FIONREAD out; do not vouch (eager) for them: nginx, "
	  "Java, .NET",
	  fionread_tcp },
	{ "blocking recv", false, false, "sees the end of the stream",
	  "gives EAGAIN instead of the end of the stream",
	  "'proven' takes no blocking readers; vouch (eager) only for programs that poll",
	  blocking_eof },
	{ "splice", false, false, "reads redirected bytes", "does not see redirected bytes",
	  "'proven' takes no readers that splice; do not vouch (eager) for them: io.Copy of Go, "
	  "docker-proxy",
	  splice_reads },
	{ NULL, false, false, NULL, NULL, NULL, NULL },
};

int selftest_open(void)
{
	return private_bypass_open(&bypass);
}

void selftest_close(void)
{
	private_bypass_close(&bypass);
}

int selftest_load(bool must, bool *ret_fionread)
{
	const struct selftest *t;
	bool fionread = true;
	int error = selftest_open();

	if (error)
		return error;
	for (t = selftests; t->name && !error; t++) {
		if (t->fionread && !selftest_holds(t))
			fionread = false;
		if (must && t->must && !selftest_holds(t))
			error = deny(-ENOTSUP, "this kernel would lose data: %s; --force overrules",
				     t->bad);
	}
	selftest_close();
	if (!error)
		*ret_fionread = fionread;
	return error;
}
