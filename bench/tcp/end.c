// SPDX-License-Identifier: GPL-2.0-only
/* One end of a connection: reading, writing, connecting. */
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

struct end prepare(int in, int out)
{
	int one = 1;

	if (!opt.unix_socket && !opt.pipes)
		setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!opt.blocking && (fcntl(in, F_SETFL, O_NONBLOCK) || fcntl(out, F_SETFL, O_NONBLOCK)))
		die("O_NONBLOCK");
	return (struct end){ in, out, -1, 0, 0 };
}

void watch(int ep, struct end *e)
{
	struct epoll_event in = { .events = EPOLLIN, .data.ptr = e };

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, e->in, &in))
		die("epoll");
}

struct end single(int in, int out)
{
	struct end e = prepare(in, out);

	if (!opt.blocking && !opt.spinning) {
		e.ep = epoll_create1(EPOLL_CLOEXEC);
		watch(e.ep, &e);
	}
	return e;
}

void finish(const struct end *e)
{
	close(e->ep);
	close(e->in);
	if (e->out != e->in)
		close(e->out);
}

ssize_t take(const struct end *e, size_t room)
{
	ssize_t n = read(e->in, buf, room);

	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("read");
	return n;
}

size_t get(const struct end *e, size_t room)
{
	struct epoll_event ev;
	ssize_t n;

	while ((n = take(e, room)) < 0)
		if (!opt.blocking && !opt.spinning && epoll_wait(e->ep, &ev, 1, -1) < 0 &&
		    errno != EINTR)
			die("epoll_wait");
	return n;
}

bool get_all(const struct end *e)
{
	size_t done = 0, n;

	for (; done < opt.size; done += n) {
		n = get(e, opt.size - done);
		if (!n)
			return false;
	}
	return true;
}

bool writable(const struct end *e, int milliseconds)
{
	struct pollfd p = { e->out, POLLOUT, 0 };

	return poll(&p, 1, milliseconds) != 0;
}

bool put_all(const struct end *e)
{
	size_t done = 0;
	ssize_t n;

	while (done < opt.size) {
		n = write(e->out, buf + done, opt.size - done);
		if (n >= 0)
			done += n;
		else if (errno == EPIPE || errno == ECONNRESET)
			return false;
		else if (errno == EAGAIN && !opt.blocking)
			writable(e, -1);
		else if (errno != EINTR)
			die("write");
	}
	return true;
}

int make_socket(void)
{
	int fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

/* Connections to one address before the next address is taken: connections in TIME_WAIT
 * hold their ports, and the kernel looks at all of them. */
#define TO_ONE_ADDRESS 8192

int connected(void)
{
	static unsigned int made;
	int fd = make_socket();

	if (!opt.unix_socket && !opt.given)
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + made++ / TO_ONE_ADDRESS);
	if (connect(fd, &addr.any, addr_len))
		die("connect");
	return fd;
}

int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

struct end dial(void)
{
	int fd;

	if (opt.pipes)
		return single(to_client[0], to_server[1]);
	fd = connected();
	return single(fd, fd);
}
