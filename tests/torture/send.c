// SPDX-License-Identifier: GPL-2.0-only
/* How an end sends. */
#include "torture.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

void allow_more(struct end *e)
{
	uint32_t ahead = e->who ? 0 : e->s.depth;

	if (e->s.kind == AFTER_EOF && e->who && e->me->eof)
		e->me->may = e->s.total[1];
	while (e->s.kind == TURNS && e->turn < e->s.turns && e->me->got >= e->need) {
		e->me->may += turn_size(&e->s, e->who, e->turn++);
		if (e->turn >= ahead && e->turn - ahead < e->s.turns)
			e->need += turn_size(&e->s, !e->who, e->turn - ahead);
	}
}

void begin_sending(struct end *e)
{
	if (e->s.kind == STREAM || (e->s.kind == AFTER_EOF && !e->who))
		e->me->may = e->s.total[e->who];
	if (e->s.kind == TURNS && e->who)
		e->need = turn_size(&e->s, 0, 0);
	allow_more(e);
}

static ssize_t send_pipe(int fd, const char *bytes, size_t n)
{
	int ends[2];
	ssize_t w;

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		die("pipe");
	w = write(ends[1], bytes, n);
	if (w > 0)
		w = splice(ends[0], NULL, fd, NULL, w, 0);
	close(ends[0]);
	close(ends[1]);
	return w;
}

static ssize_t send_somehow(struct end *e, const char *bytes, size_t n, bool last)
{
	struct iovec v[3] = {
		{ (char *)bytes, n / 3 },
		{ (char *)bytes + n / 3, n / 3 },
		{ (char *)bytes + n / 3 * 2, n - n / 3 * 2 },
	};
	struct msghdr msg = { .msg_iov = v, .msg_iovlen = 3 };
	off_t at;
	int file = stream_file(bytes, &at);

	switch (draw(&e->rng, 16)) {
	case 0:
		return writev(e->fd, v, 3);
	case 1:
		return sendmsg(e->fd, &msg, 0);
	case 2:
		return sendfile(e->fd, file, &at, n);
	case 3:
		return send_pipe(e->fd, bytes, n < 65536 ? n : 65536);
	case 4:
		return send(e->fd, bytes, n, last ? 0 : MSG_MORE);
	case 5:
		return send(e->fd, bytes, n, MSG_DONTWAIT);
	case 6:
		return write(e->fd, bytes, n);
	default:
		return send(e->fd, bytes, n, MSG_NOSIGNAL);
	}
}

void shut(struct end *e)
{
	if (e->me->shut || e->me->sent < e->s.total[e->who])
		return;
	if (e->m->hasty && (e->me->got < e->s.total[!e->who]))
		return;
	e->me->shut = true;
	if (!e->m->hasty && shutdown(e->fd, SHUT_WR) && !was_cut(e))
		fault(e, "shutdown", errno);
}

static void toggle(struct end *e)
{
	if (!e->m->toggles || draw(&e->rng, 8))
		return;
	e->zerocopy = !e->zerocopy;
	set_option(e->fd, SOL_SOCKET, SO_ZEROCOPY, e->zerocopy);
}

bool send_some(struct end *e)
{
	uint64_t left = e->me->may - e->me->sent;
	size_t n = e->m->most == CHUNK ? CHUNK : 1 + draw(&e->rng, e->m->most);
	ssize_t done;

	if (n > left)
		n = left;
	toggle(e);
	e->me->doing = "sends";
	done = send_somehow(e, stream_bytes(e, e->who, e->me->sent), n, n == left);
	e->me->doing = NULL;
	if (done > 0) {
		e->me->sent += done;
		e->me->ticks++;
		return true;
	}
	if (done < 0 && not_now(errno))
		e->writable = errno == EINTR;
	else
		broken(e, "send", errno);
	return false;
}
