// SPDX-License-Identifier: GPL-2.0-only
/* How an end receives, and the comparison of each byte. */
#include "torture.h"

#include <sys/ioctl.h>
#include <sys/uio.h>

static bool right(struct end *e, const char *bytes, size_t n)
{
	if (e->me->got + n <= e->s.total[!e->who] &&
	    !memcmp(stream_bytes(e, !e->who, e->me->got), bytes, n))
		return true;
	fault(e, e->me->got + n > e->s.total[!e->who] ? "too many bytes" : "wrong bytes", 0);
	return false;
}

static ssize_t recv_peek(struct end *e, size_t n)
{
	ssize_t seen = recv(e->fd, e->buf, n, MSG_PEEK);

	if (seen <= 0)
		return seen;
	return right(e, e->buf, seen) ? recv(e->fd, e->buf, seen, 0) : -1;
}

static ssize_t recv_vector(struct end *e, size_t n)
{
	struct iovec v[3] = {
		{ e->buf, n / 4 },
		{ e->buf + n / 4, n / 4 },
		{ e->buf + n / 4 * 2, n - n / 4 * 2 },
	};
	struct mmsghdr many = { .msg_hdr = { .msg_iov = v, .msg_iovlen = 3 } };
	int got;

	if (e->m->read == READV)
		return readv(e->fd, v, 3);
	if (e->m->read == RECVMSG)
		return recvmsg(e->fd, &many.msg_hdr, 0);
	got = recvmmsg(e->fd, &many, 1, 0, NULL);
	return got == 1 ? (ssize_t)many.msg_len : got;
}

static ssize_t recv_splice(struct end *e, size_t n)
{
	ssize_t moved;

	moved = splice(e->fd, NULL, e->pipe[1], NULL, n, blocks(e->m) ? 0 : SPLICE_F_NONBLOCK);
	return moved > 0 ? read(e->pipe[0], e->buf, moved) : moved;
}

/* Reads as many bytes as FIONREAD says. If it says 0, there is nothing now, unless the other
 * end has hung up. */
static ssize_t recv_told(struct end *e, size_t n)
{
	struct pollfd hup = { .fd = e->fd, .events = POLLRDHUP };
	int told = 0;

	if (ioctl(e->fd, FIONREAD, &told))
		return -1;
	if (!told && poll(&hup, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return recv(e->fd, e->buf, told && (size_t)told < n ? (size_t)told : n, 0);
}

uint64_t bytes_to_come(const struct end *e)
{
	uint64_t until = e->s.kind == TURNS && e->turn < e->s.turns ? e->need : e->s.total[!e->who];

	return until > e->me->got ? until - e->me->got : 1;
}

static size_t read_size(struct end *e)
{
	size_t n = e->m->buffer, sure = bytes_to_come(e);

	if (e->m->read == SHRINK && (e->m->buffer /= 2) == 0)
		e->m->buffer = CHUNK;
	if (e->m->read == WAITALL && n > sure)
		n = sure;
	return n;
}

static ssize_t recv_somehow(struct end *e, size_t n)
{
	switch (e->m->read) {
	case READ:
		return read(e->fd, e->buf, n);
	case PEEK:
		return recv_peek(e, n);
	case RECVMSG:
	case READV:
	case RECVMMSG:
		return recv_vector(e, n);
	case DONTWAIT:
		return recv(e->fd, e->buf, n, blocks(e->m) ? 0 : MSG_DONTWAIT);
	case WAITALL:
		return recv(e->fd, e->buf, n, MSG_WAITALL);
	case SPLICE:
		return recv_splice(e, n);
	case LATE_SPLICE:
		return e->me->got < e->s.total[!e->who] / 2 ? recv(e->fd, e->buf, n, 0)
							    : recv_splice(e, n);
	case FIONREAD_FIRST:
		return recv_told(e, n);
	}
	return recv(e->fd, e->buf, n, 0);
}

static void begin_to_block(struct end *e)
{
	if (e->m->wait == LATE_BLOCK && e->me->got > e->s.total[!e->who] / 3)
		set_nonblocking(e->fd, false);
}

static void got_bytes(struct end *e, size_t asked, size_t n)
{
	uint64_t total = e->s.total[!e->who];

	if (!right(e, e->buf, n))
		return;
	if (e->m->read == WAITALL && n < asked && !was_cut(e))
		fault(e, "short read with MSG_WAITALL", 0);
	if (e->m->wait == ET_SHORT && n < asked && !e->hung_up)
		e->readable = false;
	e->me->got += n;
	e->me->ticks++;
	ADD(bytes, n);
	ADD(reads, 1);
	begin_to_block(e);
	if (e->m->rcvbuf && e->me->got > total / 2 && e->me->got - n <= total / 2)
		set_option(e->fd, SOL_SOCKET, SO_RCVBUF, e->m->rcvbuf);
	if (e->m->pause && e->pauses < 10 && draw(&e->rng, e->m->pause) == 0) {
		e->pauses++;
		usleep(draw(&e->rng, 30000));
	}
}

static void got_end(struct end *e)
{
	e->me->eof = true;
	e->me->ticks++;
	if (was_cut(e))
		e->over = true;
	else if (e->me->got < e->s.total[!e->who])
		fault(e, "the stream ended early", 0);
}

bool receive_some(struct end *e)
{
	size_t n = read_size(e);
	ssize_t got;

	e->me->doing = "reads";
	got = recv_somehow(e, n);
	e->me->doing = NULL;
	if (e->over)
		return false;
	if (got > 0)
		got_bytes(e, n, got);
	else if (got == 0)
		got_end(e);
	else if (!not_now(errno))
		broken(e, "receive", errno);
	else if (blocks(e->m) && !e->m->lenient)
		fault(e, "EAGAIN from a blocking receive", 0);
	else
		e->readable = false;
	if (got < 0 && !e->over && e->m->wait == BLOCK)
		ADD(eagains, 1);
	return got >= 0;
}
