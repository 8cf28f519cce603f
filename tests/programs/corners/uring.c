// SPDX-License-Identifier: GPL-2.0-only
/* io_uring, if liburing is there. */
#include "corners.h"

#ifdef HAVE_URING
#include <liburing.h>
#include <sys/wait.h>

static struct io_uring ring;

static int uring_wait(void)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec t = { .tv_sec = 5 };
	int ret = io_uring_wait_cqe_timeout(&ring, &cqe, &t);

	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static void say_res(const char *what, int res)
{
	if (res < 0)
		say(what, "%s", strerrorname_np(-res));
	else
		say(what, "%d", res);
}

static void uring(void)
{
	struct io_uring_sqe *sqe;
	size_t total = 0;
	pid_t pid;
	int n;

	if (io_uring_queue_init(8, &ring, 0))
		die("io_uring");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, server, "hello", 5, 0);
	io_uring_submit(&ring);
	say_res("send", uring_wait());
	pause_ms(50);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, client, buf, 100, 0);
	io_uring_submit(&ring);
	say_res("recv", uring_wait());
	nonblocking(client, false);
	pid = later(say_hello, 200);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, client, buf, 10, MSG_WAITALL);
	io_uring_submit(&ring);
	say_res("recv, MSG_WAITALL", uring_wait());
	waitpid(pid, NULL, 0);
	fill(buf, 1 << 20, 11);
	if (!fork()) {
		send_all(server, buf, 1 << 20);
		shutdown(server, SHUT_WR);
		_exit(0);
	}
	for (;;) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_recv(sqe, client, other + total, 65536, 0);
		io_uring_submit(&ring);
		n = uring_wait();
		if (n <= 0)
			break;
		total += n;
	}
	say_res("end", n);
	say("bytes", "%zu, %s", total, memcmp(buf, other, total) ? "wrong" : "right");
	wait(NULL);
}

static void uring_poll(void)
{
	struct io_uring_sqe *sqe;
	pid_t pid;

	if (io_uring_queue_init(8, &ring, 0))
		die("io_uring");
	pid = later(say_hello, 200);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_add(sqe, client, POLLIN);
	io_uring_submit(&ring);
	say_res("poll", uring_wait());
	say_ret("recv", recv(client, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void uring_zerocopy(void)
{
	struct io_uring_sqe *sqe;

	if (io_uring_queue_init(8, &ring, 0))
		die("io_uring");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc(sqe, server, "hello", 5, 0, 0);
	io_uring_submit(&ring);
	say_res("send, zero copy", uring_wait());
}

/* The pair cools down and leaves the fast path. The socket has to do again what it did before. */
static void uring_zerocopy_later(void)
{
	int i;

	for (i = 0; i < 300; i++)
		send_all(server, "small", 5);
	recv_all(client, buf, 1500);
	pause_ms(500);
	uring_zerocopy();
}

const struct corner uring_cases[] = {
	{ "uring", uring },
	{ "uring-poll", uring_poll },
	{ "uring-zerocopy", uring_zerocopy },
	{ "uring-zerocopy-later", uring_zerocopy_later },
	{},
};
#else
const struct corner uring_cases[] = { {} };
#endif
