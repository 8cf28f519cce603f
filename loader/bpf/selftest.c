// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each test makes one pair of connected sockets on 127.0.0.1, puts them into the map of a private
 * bypass, and checks what an application sees.
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

/* The two ends of a connection: mostly a sends and b reads. */
struct pair {
	int a;
	int b;
};

static void close_pair(struct pair *p)
{
	close_fd(&p->a);
	close_fd(&p->b);
}

#define _cleanup_pair_ _cleanup_(close_pair)

/* After a failure b is -1. */
static struct pair connect_pair(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	_cleanup_fd_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval timeout = { .tv_sec = WAIT_MS / 1000 };
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
	setsockopt(p.b, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return p;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static bool enter_map(int fd, int peer)
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

static bool enter_both(const struct pair *p)
{
	return p->a >= 0 && p->b >= 0 && enter_map(p->a, p->b) && enter_map(p->b, p->a);
}

static bool send_all(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Receives as many bytes as text has. Returns whether they equal text. */
static bool receive_exactly(int fd, const char *text)
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

static bool wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1;
}

static int fionread(int fd)
{
	int n = -1;

	return ioctl(fd, FIONREAD, &n) ? -1 : n;
}

/* Tests that bytes which TCP delivered before the pair entered the map are read first. */
static bool test_order(void)
{
	_cleanup_pair_ struct pair p = connect_pair();

	return p.b >= 0 && send_all(p.a, "AAAA") && enter_both(&p) && send_all(p.a, "BBBB") &&
	       receive_exactly(p.b, "AAAABBBB") && send_all(p.a, "CCCC") &&
	       receive_exactly(p.b, "CCCC");
}

static bool test_close(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	char c;

	if (!enter_both(&p) || !send_all(p.a, "last words"))
		return false;
	close(take_fd(&p.a));
	return receive_exactly(p.b, "last words") && !recv(p.b, &c, 1, 0);
}

static bool test_half_close(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	char c;

	return enter_both(&p) && send_all(p.a, "question") && !shutdown(p.a, SHUT_WR) &&
	       receive_exactly(p.b, "question") && wait_readable(p.b) &&
	       !recv(p.b, &c, 1, MSG_DONTWAIT) && send_all(p.b, "answer") &&
	       receive_exactly(p.a, "answer");
}

static bool test_bound(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	static char block[65536];
	uint64_t total = 0, most = bypass.conf->max_bytes + (64 << 20);
	ssize_t n;

	if (!enter_both(&p))
		return false;
	do {
		n = send(p.a, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
		total += n > 0 ? n : 0;
	} while (n > 0 && total < most);
	return n < 0 && errno == EAGAIN;
}

static bool test_epoll(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	_cleanup_fd_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	return enter_both(&p) && !epoll_ctl(ep, EPOLL_CTL_ADD, p.b, &e) && send_all(p.a, "edge") &&
	       epoll_wait(ep, &e, 1, WAIT_MS) == 1 && receive_exactly(p.b, "edge");
}

static bool test_fionread_redirected(void)
{
	_cleanup_pair_ struct pair p = connect_pair();

	return enter_both(&p) && send_all(p.a, "four") && fionread(p.b) == 4;
}

static bool test_fionread_tcp(void)
{
	_cleanup_pair_ struct pair p = connect_pair();

	return p.b >= 0 && enter_both(&p) && (bypass.conf->run.drain_mode = DRAIN_ALL) &&
	       send_all(p.a, "four") && wait_readable(p.b) && fionread(p.b) == 4;
}

static bool test_blocking_eof(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	bool ended;
	pid_t child;
	char c;

	/* A child sends the FIN, because the reader has to sleep when it comes. */
	if (!enter_both(&p))
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

static bool test_splice(void)
{
	_cleanup_pair_ struct pair p = connect_pair();
	int pipes[2] = { -1, -1 };
	ssize_t n;

	if (!enter_both(&p) || !send_all(p.a, "splice") || pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return false;
	n = splice(p.b, NULL, pipes[1], NULL, 6, SPLICE_F_NONBLOCK);
	close(pipes[0]);
	close(pipes[1]);
	return n == 6;
}

bool selftest_passes(const struct selftest *t)
{
	bypass.conf->run.drain_mode = DRAIN_OFF;
	return t->passes();
}

const struct selftest selftests[] = {
	{ "order", false, true, "bytes sent by TCP are read before later redirected ones",
	  "redirected bytes overtake bytes sent by TCP", "do not load the bypass on this kernel",
	  test_order },
	{ "close", false, true, "bytes redirected right before a close arrive",
	  "bytes redirected right before a close are lost", "use Linux 6.1 or later", test_close },
	{ "half-close", false, true, "a half-closed connection works in the other direction",
	  "a half-closed connection breaks", "do not load the bypass on this kernel",
	  test_half_close },
	{ "bound", false, true, "a reader that stalls stops the sender",
	  "nothing stops the sender if the reader stalls", "do not load the bypass on this kernel",
	  test_bound },
	{ "epoll", false, true, "an edge-triggered reader is notified of redirected bytes",
	  "an edge-triggered reader is not notified of redirected bytes",
	  "do not load the bypass on this kernel", test_epoll },
	{ "FIONREAD", true, false, "counts redirected bytes", "does not count redirected bytes",
	  "'proven' keeps processes that ask FIONREAD out; do not use 'eager' for them: nginx, "
	  "Java, .NET",
	  test_fionread_redirected },
	{ "FIONREAD by TCP", true, false, "counts bytes that reach a member by TCP",
	  "does not count bytes that reach a member by TCP: a fault of this kernel",
	  "'proven' keeps processes that ask FIONREAD out; do not use 'eager' for them: nginx, "
	  "Java, .NET",
	  test_fionread_tcp },
	{ "blocking recv", false, false, "sees the end of the stream",
	  "gives EAGAIN instead of the end of the stream",
	  "'proven' takes no blocking readers; use 'eager' only for programs that poll",
	  test_blocking_eof },
	{ "splice", false, false, "reads redirected bytes", "does not see redirected bytes",
	  "'proven' takes no readers that splice; do not use 'eager' for them: io.Copy of Go, "
	  "docker-proxy",
	  test_splice },
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

/* Stops at the first required test that fails. */
static int run_for_load(bool required, const char *way_out, bool *ret_fionread)
{
	const struct selftest *t;

	*ret_fionread = true;
	for (t = selftests; t->name; t++) {
		if (t->fionread && !selftest_passes(t))
			*ret_fionread = false;
		if (required && t->required && !selftest_passes(t))
			return deny(-ENOTSUP, "this kernel would lose data: %s; %s", t->fail_text,
				    way_out);
	}
	return 0;
}

int selftest_run_for_load(bool required, const char *way_out, bool *ret_fionread)
{
	bool fionread;
	int error = selftest_open();

	if (error)
		return error;
	error = run_for_load(required, way_out, &fionread);
	selftest_close();
	if (error)
		return error;
	*ret_fionread = fionread;
	return 0;
}
