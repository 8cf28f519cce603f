// SPDX-License-Identifier: GPL-2.0-only
/* One end of a connection, from its socket to close(). */
#include "torture.h"

#include <sys/epoll.h>

static bool wants_to_send(const struct end *e)
{
	return e->me->sent < e->me->may;
}

static bool finished(struct end *e)
{
	shut(e);
	if (e->over)
		return true;
	return e->me->shut && (e->me->eof || (e->m->hasty && e->me->got == e->s.total[!e->who]));
}

/* Cuts the connection off, if this end has to and has come that far. */
static bool cut(struct end *e)
{
	struct linger now_ = { .l_onoff = 1 };

	if (e->s.cutter != e->who || e->me->sent + e->me->got < e->s.cut_at)
		return false;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
	if (!e->s.cut_by_close && setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &now_, sizeof(now_)))
		die("SO_LINGER");
	ADD(cuts, 1);
	e->over = true;
	return true;
}

/* One thread, which does whatever is possible, and else waits. */
static void run_polling(struct end *e)
{
	bool edge = e->m->wait == ET || e->m->wait == ET_SHORT;

	while (!finished(e) && !cut(e)) {
		bool moved = false;

		if (wants_to_send(e) && e->writable)
			moved |= send_some(e);
		if (!e->over && !e->me->eof && e->readable)
			moved |= receive_some(e);
		if (!edge)
			e->readable = false;
		allow_more(e);
		if (!moved && !finished(e))
			wait_ready(e);
	}
}

/* One thread, which sends all that it may, then reads. */
static void run_blocking(struct end *e)
{
	while (!finished(e) && !cut(e)) {
		if (wants_to_send(e))
			send_some(e);
		else if (!e->me->eof)
			receive_some(e);
		allow_more(e);
	}
}

static void *write_thread(void *arg)
{
	struct end *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->over && e->me->sent < e->s.total[e->who]) {
		if (!wants_to_send(e)) {
			pthread_cond_wait(&e->more, &e->lock);
			continue;
		}
		pthread_mutex_unlock(&e->lock);
		send_some(e);
		pthread_mutex_lock(&e->lock);
	}
	pthread_mutex_unlock(&e->lock);
	if (!e->over && !e->m->hasty)
		shut(e);
	return NULL;
}

/* Two threads: one reads, the other writes. */
static void run_threads(struct end *e)
{
	pthread_t writer;

	if (pthread_create(&writer, NULL, write_thread, e))
		die("pthread_create");
	while (!e->over && !e->me->eof && !(e->m->hasty && e->me->got == e->s.total[!e->who])) {
		receive_some(e);
		pthread_mutex_lock(&e->lock);
		allow_more(e);
		pthread_cond_signal(&e->more);
		pthread_mutex_unlock(&e->lock);
	}
	if (e->over)
		shutdown(e->fd, SHUT_RDWR);
	pthread_mutex_lock(&e->lock);
	pthread_cond_signal(&e->more);
	pthread_mutex_unlock(&e->lock);
	pthread_join(writer, NULL);
}

static void prepare(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct timeval soon = { .tv_usec = 20000 };

	e->ep = e->pipe[0] = e->pipe[1] = -1;
	if (e->m->nodelay)
		set_option(e->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (e->m->sndbuf)
		set_option(e->fd, SOL_SOCKET, SO_SNDBUF, e->m->sndbuf);
	if (e->m->wait == TIMEOUT &&
	    setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)))
		die("SO_RCVTIMEO");
	set_nonblocking(e->fd, !blocks(e->m) || e->m->wait == LATE_BLOCK);
	if (e->m->wait <= ET_SHORT) {
		e->ep = epoll_create1(EPOLL_CLOEXEC);
		if (e->ep < 0 || epoll_ctl(e->ep, EPOLL_CTL_ADD, e->fd, &ev))
			die("epoll");
	}
	if ((e->m->read == SPLICE || e->m->read == LATE_SPLICE) && pipe2(e->pipe, O_CLOEXEC))
		die("pipe");
	e->readable = e->writable = true;
}

static void start(struct end *e, int fd)
{
	union address own;
	socklen_t len = sizeof(own);

	e->fd = fd;
	e->m = &e->s.manner[e->who];
	e->me->number = 0; /* the watchdog reads it */
	e->rng = mix(e->s.key + 7 + e->who);
	e->me->sent = e->me->may = e->me->got = 0;
	e->me->shut = e->me->eof = false;
	e->me->manner = *e->m;
	if (!getsockname(fd, &own.sa, &len))
		e->me->port = port_of(&own);
	e->me->number = e->s.number;
	ADD(waits[e->m->wait], 1);
	ADD(styles[e->m->read], 1);
}

void run_end(struct end *e, int fd)
{
	start(e, fd);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->more, NULL);
	prepare(e);
	begin_sending(e);
	if (!blocks(e->m))
		run_polling(e);
	else if (e->s.kind == STREAM || (e->s.kind == TURNS && (e->s.depth > 1)))
		run_threads(e);
	else
		run_blocking(e);
	e->me->doing = "closes";
	close(e->fd);
	if (e->ep >= 0)
		close(e->ep);
	if (e->pipe[0] >= 0) {
		close(e->pipe[0]);
		close(e->pipe[1]);
	}
	e->me->ticks++;
}
