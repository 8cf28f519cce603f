// SPDX-License-Identifier: GPL-2.0-only
/* How an end waits until it can go on. */
#include "torture.h"

#include <sys/epoll.h>
#include <sys/select.h>

static void wait_select(struct end *e, bool in, bool out)
{
	fd_set r, w;

	FD_ZERO(&r);
	FD_ZERO(&w);
	if (in)
		FD_SET(e->fd, &r);
	if (out)
		FD_SET(e->fd, &w);
	if (select(e->fd + 1, &r, &w, NULL, NULL) < 0)
		return;
	e->readable = FD_ISSET(e->fd, &r);
	e->writable = FD_ISSET(e->fd, &w);
}

static void wait_poll(struct end *e, bool in, bool out)
{
	struct pollfd p = { .fd = e->fd, .events = (in ? POLLIN : 0) | (out ? POLLOUT : 0) };

	if (poll(&p, 1, -1) < 0)
		return;
	e->readable = p.revents & (POLLIN | POLLHUP | POLLERR);
	e->writable = p.revents & (POLLOUT | POLLHUP | POLLERR);
}

static void wait_epoll(struct end *e, bool in, bool out)
{
	struct epoll_event ev = { .events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0) };
	bool edge = e->m->wait != LT;

	if (!edge)
		epoll_ctl(e->ep, EPOLL_CTL_MOD, e->fd, &ev);
	if (epoll_wait(e->ep, &ev, 1, -1) != 1)
		return;
	if (ev.events & (EPOLLHUP | EPOLLERR))
		ev.events |= EPOLLIN | EPOLLOUT;
	e->hung_up |= ev.events & EPOLLRDHUP;
	e->readable = (edge && e->readable) || ev.events & EPOLLIN;
	e->writable = (edge && e->writable) || ev.events & EPOLLOUT;
}

/* A reader that sets SO_RCVLOWAT must not wait for more than will come. */
static void set_lowat(struct end *e)
{
	uint64_t sure = bytes_to_come(e);

	if (e->m->read == LOWAT)
		set_option(e->fd, SOL_SOCKET, SO_RCVLOWAT, sure < 1000 ? sure : 1000);
}

void wait_ready(struct end *e)
{
	bool in = !e->me->eof, out = e->me->sent < e->me->may;

	e->me->doing = out ? "waits to send or read" : "waits to read";
	set_lowat(e);
	if (e->m->wait == SELECT)
		wait_select(e, in, out);
	else if (e->ep >= 0)
		wait_epoll(e, in, out);
	else
		wait_poll(e, in, out);
	e->me->doing = NULL;
}
