// SPDX-License-Identifier: GPL-2.0-only
/* The process that answers. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void serve_one(struct end e, const char *mode)
{
	if (!strcmp(mode, "stream"))
		while (get(&e, MAX_SIZE))
			;
	else
		while (get_all(&e) && put_all(&e))
			;
	finish(&e);
}

static void answer(struct end *e)
{
	ssize_t n = take(e, opt.size - e->done);

	if (!n)
		exit(0);
	if (n < 0 || (e->done += n) < opt.size)
		return;
	e->done = 0;
	put_all(e);
}

static void serve_many(int listener)
{
	struct end *ends = calloc(opt.connections, sizeof(*ends));
	int i, n, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[64];

	for (i = 0; i < opt.connections; i++) {
		n = accepted(listener);
		ends[i] = prepare(n, n);
		watch(ep, &ends[i]);
	}
	while ((n = epoll_wait(ep, ev, 64, -1)) >= 0 || errno == EINTR)
		for (i = 0; i < n; i++)
			answer(ev[i].data.ptr);
}

void __attribute__((noreturn)) serve(int listener, const char *mode)
{
	int i, fd;

	pin(opt.cpu[1]);
	if (opt.pipes) {
		close(to_server[1]);
		close(to_client[0]);
		serve_one(single(to_server[0], to_client[1]), mode);
		exit(0);
	}
	for (i = 0; i < opt.idle; i++)
		accepted(listener);
	if (opt.connections > 1)
		serve_many(listener);
	for (;;) {
		fd = accepted(listener);
		serve_one(single(fd, fd), mode);
	}
}
