// SPDX-License-Identifier: GPL-2.0-only
/* splice() and sendfile(). */
#include "corners.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static void splice_after(void)
{
	int fds[2], i;
	ssize_t n, total = 0;
	uint64_t end;

	if (pipe(fds))
		die("pipe");
	fill(buf, 1 << 20, 8);
	if (!fork()) {
		send_all(server, buf, 1 << 20);
		pause_ms(3000);
		_exit(0);
	}
	for (i = 0, end = now_ms() + 5000; total < 1 << 20 && now_ms() < end; i++) {
		if (!ready(client, POLLIN, 1000))
			continue;
		n = splice(client, NULL, fds[1], NULL, 65536, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n > 0)
			n = read(fds[0], other + total, n);
		else if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			total += n;
	}
	say("bytes", "%zd, %s", total, memcmp(buf, other, total) ? "wrong" : "right");
	say_ret("end", total == 1 << 20 ? 0 : recv(client, other, 1, 0));
}

/* Requests by recv, then answers by splice, as proxies do, again and again. */
static void recv_then_splice(void)
{
	int fds[2], turn, wrong = 0, dead = 0;
	size_t size = 300000, total;
	ssize_t n;

	if (pipe(fds))
		die("pipe");
	for (turn = 0; turn < 20 && !dead; turn++) {
		fill(buf, size, turn);
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			send_all(server, "head", 4);
			send_all(server, buf, size);
			_exit(0);
		}
		if (recv_all(client, other, 4) != 4 || memcmp(other, "head", 4))
			wrong++;
		for (total = 0; total < size;) {
			if (!ready(client, POLLIN, PATIENCE_MS)) {
				dead = ETIMEDOUT;
				break;
			}
			n = splice(client, NULL, fds[1], NULL, 65536,
				   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n > 0)
				n = read(fds[0], other + total, n);
			if (n > 0) {
				total += n;
			} else if (!n || errno != EAGAIN) {
				dead = n ? errno : EPIPE;
				break;
			}
		}
		if (memcmp(buf, other, total))
			wrong++;
		wait(NULL);
	}
	say("turns", "%d", turn);
	say("wrong", "%d", wrong);
	say("ended by", "%s", dead ? strerrorname_np(dead) : "itself");
}

static void sendfile_in(void)
{
	FILE *f = tmpfile();
	off_t at = 0;
	ssize_t n;

	fill(buf, BIG, 9);
	fwrite(buf, 1, BIG, f);
	fflush(f);
	if (!fork()) {
		while (at < BIG) {
			n = sendfile(server, fileno(f), &at, BIG - at);
			if (n < 0 && errno == EAGAIN)
				ready(server, POLLOUT, PATIENCE_MS);
			else if (n <= 0)
				_exit(1);
		}
		_exit(0);
	}
	say("bytes", "%zu", recv_all(client, other, BIG));
	say("right", "%d", !memcmp(buf, other, BIG));
	wait(NULL);
}

const struct corner splice_cases[] = {
	{ "splice", splice_after },
	{ "recv-then-splice", recv_then_splice },
	{ "sendfile", sendfile_in },
	{},
};
