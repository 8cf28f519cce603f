// SPDX-License-Identifier: GPL-2.0-only
/*
 * corners [CASE]
 *
 * Without CASE: lists them. With: makes a connection over 127.0.0.1, lets
 * request and response go over it for HOT_MS, both ends non-blocking with
 * epoll, and then does something less common. Prints 'CASE: what = value' for
 * all that an application can see of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_URING
#include <liburing.h>
#endif
#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

#define HOT_MS 1500
#define PATIENCE_MS 5000
#define BIG (12 << 20)

static const char *name;
static char buf[BIG], other[BIG];
static int s, c; /* the server's end and the client's, both in this process */

static void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", name, what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

__attribute__((format(printf, 2, 3))) static void say(const char *what, const char *format, ...)
{
	va_list args;

	printf("%s: %s = ", name, what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* What a call returned, or why not. */
static void say_ret(const char *what, ssize_t n)
{
	if (n < 0)
		say(what, "%s", strerrorname_np(errno));
	else
		say(what, "%zd", n);
}

static void fill(char *p, size_t size, int salt)
{
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = i * 7 + (i >> 8) * 13 + salt;
}

static void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static short ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static void send_all(int fd, const char *p, size_t size)
{
	ssize_t n;

	while (size) {
		n = send(fd, p, size, MSG_NOSIGNAL);
		if (n > 0) {
			p += n;
			size -= n;
		} else if (errno != EAGAIN) {
			die("send");
		} else if (!ready(fd, POLLOUT, PATIENCE_MS)) {
			errno = ETIMEDOUT;
			die("send");
		}
	}
}

/* Up to size bytes; fewer at the end or when nothing comes. */
static size_t recv_all(int fd, char *p, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = recv(fd, p + done, size - done, 0);
		if (n > 0)
			done += n;
		else if (!n || errno != EAGAIN || !ready(fd, POLLIN, PATIENCE_MS))
			break;
	}
	return done;
}

/* The server's side of the hot phase, in a thread. */
static volatile bool hot;

static void *echo(void *unused)
{
	char room[4096];
	ssize_t n;

	while (hot) {
		if (!ready(s, POLLIN, 20))
			continue;
		n = recv(s, room, sizeof(room), 0);
		if (n > 0)
			send_all(s, room, n);
	}
	return unused;
}

static void connect_pair(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || connect(c, (void *)&addr, len))
		die("connect");
	s = accept(listener, NULL, NULL);
	close(listener);
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	nonblocking(s, true);
	nonblocking(c, true);
}

static void heat_up(void)
{
	uint64_t end = now_ms() + HOT_MS;
	char out[256], in[256];
	pthread_t thread;
	int turn = 0;

	hot = true;
	pthread_create(&thread, NULL, echo, NULL);
	while (now_ms() < end) {
		fill(out, sizeof(out), turn++);
		send_all(c, out, sizeof(out));
		if (recv_all(c, in, sizeof(in)) != sizeof(in) || memcmp(in, out, sizeof(in)))
			die("hot phase");
	}
	hot = false;
	pthread_join(thread, NULL);
}

/* a child that does one thing with the server's end after a while */
static pid_t later(void (*what)(void), int ms)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(c);
		pause_ms(ms);
		what();
		_exit(0);
	}
	return pid;
}

static void shut(void)
{
	shutdown(s, SHUT_WR);
}
static void say_hello(void)
{
	send_all(s, "hello", 5);
	pause_ms(300);
	send_all(s, "world", 5);
	pause_ms(300);
}
static void on_alarm(int sig)
{
	(void)sig;
}

/* --- the cases -------------------------------------------------------------- */

static void blocking_after(void)
{
	pid_t pid = later(say_hello, 200);

	nonblocking(c, false);
	say_ret("first", recv(c, buf, 100, 0));
	say_ret("second", recv(c, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void blocking_eof(void)
{
	pid_t pid = later(shut, 300);

	nonblocking(c, false);
	say_ret("recv", recv(c, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void blocking_signal(void)
{
	struct sigaction restart = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	pid_t pid = later(say_hello, 400);

	sigaction(SIGALRM, &restart, NULL);
	nonblocking(c, false);
	setitimer(ITIMER_REAL, &soon, NULL);
	say_ret("SA_RESTART", recv(c, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void waitall(void)
{
	pid_t pid = later(say_hello, 200);

	nonblocking(c, false);
	say_ret("recv of 10", recv(c, buf, 10, MSG_WAITALL));
	waitpid(pid, NULL, 0);
}

static void waitall_nonblocking(void)
{
	send_all(s, "hello", 5);
	pause_ms(50);
	say_ret("recv of 10", recv(c, buf, 10, MSG_WAITALL));
	say_ret("again", recv(c, buf, 10, MSG_WAITALL));
}

static void timeout_after(void)
{
	struct timeval t = { .tv_usec = 200000 };

	nonblocking(c, false);
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	say_ret("recv", recv(c, buf, 10, 0));
	send_all(s, "hello", 5);
	say_ret("then", recv(c, buf, 10, 0));
}

static void lowat(void)
{
	int ten = 10;

	setsockopt(c, SOL_SOCKET, SO_RCVLOWAT, &ten, sizeof(ten));
	send_all(s, "hello", 5);
	say("readable with 5 bytes", "%x", ready(c, POLLIN, 200));
	send_all(s, "world", 5);
	say("readable with 10", "%x", ready(c, POLLIN, 1000));
	say_ret("recv", recv(c, buf, 100, 0));
}

static void lowat_queued(void)
{
	int ten = 10;

	send_all(s, "hello", 5);
	setsockopt(c, SOL_SOCKET, SO_RCVLOWAT, &ten, sizeof(ten));
	say("readable with 5 bytes", "%x", ready(c, POLLIN, 200));
	send_all(s, "world", 5);
	say("readable with 10", "%x", ready(c, POLLIN, 1000));
	say_ret("recv", recv(c, buf, 100, 0));
}

static void peek(void)
{
	int i;

	for (i = 0; i < 200; i++)
		send_all(s, "abcdefghij" + i % 10, 1);
	pause_ms(50);
	say_ret("peek of 100", recv(c, buf, 100, MSG_PEEK));
	say("peeked", "%.20s", buf);
	say_ret("peek of 1000", recv(c, buf, 1000, MSG_PEEK));
	say_ret("recv of 7", recv(c, buf, 7, 0));
	say_ret("peek", recv(c, buf, 1000, MSG_PEEK));
	say_ret("recv", recv(c, buf, 1000, 0));
	say("bytes", "%.20s", buf);
	say_ret("peek at nothing", recv(c, buf, 1000, MSG_PEEK));
}

static void peek_off(void)
{
	int zero = 0;

	say_ret("SO_PEEK_OFF", setsockopt(c, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)));
	send_all(s, "abcdefghij", 10);
	pause_ms(50);
	say_ret("first", recv(c, buf, 4, MSG_PEEK));
	say("bytes", "%.4s", buf);
	say_ret("second", recv(c, buf, 4, MSG_PEEK));
	say("then", "%.4s", buf);
}

static void truncate_some(void)
{
	send_all(s, "abcdefghij", 10);
	pause_ms(50);
	memset(buf, 'x', 100);
	say_ret("recv, MSG_TRUNC", recv(c, buf, 4, MSG_TRUNC));
	say("buffer", "%.4s", buf);
	say_ret("recv", recv(c, buf, 100, 0));
	say("bytes", "%.6s", buf);
}

static void fionread(void)
{
	int i, n = -1, total = 0, polls = 0;

	ioctl(c, FIONREAD, &n);
	say("nothing sent", "%d", n);
	for (i = 0; i < 100; i++)
		send_all(s, buf, 100);
	pause_ms(50);
	ioctl(c, FIONREAD, &n);
	say("10000 sent", "%d", n);
	say_ret("recv", recv(c, other, 3000, 0));
	ioctl(c, FIONREAD, &n);
	say("3000 read", "%d", n);
	recv_all(c, other, 7000);
	fill(buf, BIG, 1);
	if (!fork()) {
		send_all(s, buf, BIG);
		_exit(0);
	}
	while (total < BIG && polls < 1000) {
		if (!ready(c, POLLIN, PATIENCE_MS)) {
			say("stalled", "after %d", total);
			break;
		}
		ioctl(c, FIONREAD, &n);
		if (!n) { /* readable, but nothing to read */
			polls++;
			pause_ms(1);
			continue;
		}
		n = recv(c, other + total, n, 0);
		total += n > 0 ? n : 0;
	}
	wait(NULL);
	say("bytes", "%d, %s", total, total == BIG && !memcmp(buf, other, BIG) ? "right" : "wrong");
	say("readable, but FIONREAD says 0", "%s", polls > 10 ? "often" : "hardly");
}

static void outq(void)
{
	int n = -1;

	send_all(s, buf, 10000);
	ioctl(s, TIOCOUTQ, &n);
	pause_ms(50);
	ioctl(s, TIOCOUTQ, &n);
	say("unsent after a while", "%d", n);
	recv_all(c, other, 10000);
}

static volatile sig_atomic_t urgent;
static void on_urg(int sig)
{
	(void)sig;
	urgent++;
}

static void oob(void)
{
	int mark = -1;

	signal(SIGURG, on_urg);
	fcntl(c, F_SETOWN, getpid());
	send_all(s, "abc", 3);
	say_ret("send of 'd' as MSG_OOB", send(s, "d", 1, MSG_OOB));
	send_all(s, "efg", 3);
	pause_ms(100);
	say("SIGURG", "%d", (int)urgent);
	say("POLLPRI", "%x", ready(c, POLLPRI, 100));
	say_ret("recv", recv(c, buf, 100, 0));
	say("bytes", "%.*s", 3, buf);
	ioctl(c, SIOCATMARK, &mark);
	say("at mark", "%d", mark);
	say_ret("recv of MSG_OOB", recv(c, buf, 1, MSG_OOB));
	say("byte", "%c", buf[0]);
	say_ret("rest", recv(c, buf, 100, 0));
	say("rest's bytes", "%.*s", 3, buf);
}

static void oob_inline(void)
{
	int one = 1;

	setsockopt(c, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	send_all(s, "abc", 3);
	send(s, "d", 1, MSG_OOB);
	send_all(s, "efg", 3);
	pause_ms(100);
	say_ret("first recv", recv(c, buf, 100, 0));
	say_ret("second recv", recv(c, buf, 100, 0));
}

static void linger_reset(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s);
	pause_ms(50);
	say("events", "%x", ready(c, POLLIN | POLLOUT | POLLRDHUP, 1000));
	say_ret("recv", recv(c, buf, 100, 0));
	say_ret("again", recv(c, buf, 100, 0));
	say_ret("send", send(c, buf, 100, MSG_NOSIGNAL));
}

static void data_then_reset(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	send_all(s, "hello", 5);
	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s);
	pause_ms(50);
	say("events", "%x", ready(c, POLLIN | POLLRDHUP, 1000));
	say_ret("recv", recv(c, buf, 100, 0));
	say_ret("again", recv(c, buf, 100, 0));
}

static void close_unread(void)
{
	send_all(c, "unread", 6);
	pause_ms(50);
	close(s);
	pause_ms(50);
	say("events", "%x", ready(c, POLLIN | POLLRDHUP, 1000));
	say_ret("recv", recv(c, buf, 100, 0));
	say_ret("send", send(c, buf, 100, MSG_NOSIGNAL));
}

static void linger_wait(void)
{
	struct linger l = { .l_onoff = 1, .l_linger = 2 };
	uint64_t begin;

	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	send_all(s, buf, 100000);
	begin = now_ms();
	say_ret("close", close(s));
	say("took", "%s", now_ms() - begin > 1000 ? "long" : "no time");
	say("bytes", "%zu", recv_all(c, other, 200000));
}

static void half_close(void)
{
	fill(buf, BIG, 3);
	send_all(c, "last", 4);
	shutdown(c, SHUT_WR);
	say("server reads", "%zu", recv_all(s, other, 100));
	say_ret("and then", recv(s, other, 100, 0));
	if (!fork()) {
		close(c);
		send_all(s, buf, BIG);
		_exit(0);
	}
	close(s);
	say("client reads", "%zu", recv_all(c, other, BIG + 1));
	say("bytes", "%s", memcmp(buf, other, BIG) ? "wrong" : "right");
	wait(NULL);
}

static void shut_read(void)
{
	shutdown(c, SHUT_RD);
	say_ret("recv", recv(c, buf, 100, 0));
	say_ret("peer sends", send(s, "hello", 5, MSG_NOSIGNAL));
	pause_ms(50);
	say_ret("recv then", recv(c, buf, 100, 0));
	send_all(c, "back", 4);
	say("the other way", "%zu", recv_all(s, buf, 4));
}

/* A little more than what one may expect to be queued at once. */
#define A_LOT ((8 << 20) + 50000)

/*
 * A short read means that there is no more (man 7 epoll): edge-triggered readers
 * go by that. This one is slow.
 */
static void short_read(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0), stalls = 0;
	size_t total = 0;
	ssize_t n;

	epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	fill(buf, A_LOT, 4);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		send_all(s, buf, A_LOT);
		pause_ms(20000);
		_exit(0);
	}
	pause_ms(300);
	while (total < A_LOT && stalls < 20) {
		if (epoll_wait(ep, &e, 1, 500) != 1) {
			stalls++;
			continue;
		}
		do {
			pause_ms(5);
			n = recv(c, other + total, 65536, 0);
			if (n > 0)
				total += n;
		} while (n == 65536);
	}
	say("bytes", "%zu", total);
	say("no event for 500 ms", "%s", stalls ? "happened" : "never");
}

/* What libuv does: a short read and hung up, so that was all. */
static void hang_up(void)
{
	size_t total = 0;
	short events;
	ssize_t n;

	fill(buf, A_LOT, 5);
	shutdown(c, SHUT_WR);
	if (!fork()) {
		close(c);
		send_all(s, buf, A_LOT);
		_exit(0);
	}
	close(s);
	do {
		pause_ms(5);
		events = ready(c, POLLIN | POLLRDHUP, PATIENCE_MS);
		n = recv(c, other + total, 65536, 0);
		if (n > 0)
			total += n;
	} while (n && events && !(events & POLLHUP && n < 65536));
	say("bytes", "%zu", total);
}

/* How long a reader that slept waits for the rest, once it reads again. */
static void read_rest(size_t size)
{
	uint64_t begin = now_ms(), at = begin, longest = 0;
	size_t total = 0;
	ssize_t n;

	while (total <= size) {
		if (!ready(c, POLLIN, 20000))
			break;
		n = recv(c, other + total, 65536, 0);
		if (n > 0)
			total += n;
		if (now_ms() - at > longest)
			longest = now_ms() - at;
		at = now_ms();
		if (!n)
			break;
	}
	say("bytes", "%zu, %s", total, memcmp(buf, other, size) ? "wrong" : "right");
	say("paused over 500 ms", "%s", longest > 500 ? "yes" : "no");
	printf("# %s: longest pause = %d ms\n", name, (int)longest);
}

static void late_end(void)
{
	fill(buf, 4 << 20, 14);
	if (!fork()) {
		close(c);
		send_all(s, buf, 4 << 20);
		_exit(0);
	}
	close(s);
	pause_ms(4000);
	read_rest(4 << 20);
}

static void slow_reader(void)
{
	fill(buf, BIG, 15);
	if (!fork()) {
		struct pollfd p = { .fd = s, .events = POLLOUT };
		size_t done = 0;
		ssize_t n;

		close(c);
		while (done < BIG) {
			n = send(s, buf + done, BIG - done, MSG_NOSIGNAL);
			if (n > 0)
				done += n;
			else
				poll(&p, 1, -1);
		}
		_exit(0);
	}
	close(s);
	pause_ms(6000);
	read_rest(BIG);
}

static void stalled_reader(void)
{
	uint64_t end = now_ms() + 1000;
	size_t sent = 0;
	ssize_t n;

	while (now_ms() < end) {
		n = send(s, buf, 65536, MSG_NOSIGNAL);
		if (n > 0)
			sent += n;
		else
			pause_ms(10);
	}
	say("sent", "%s", sent > 64 << 20 ? "more than 64 MiB" : "less");
	say("read", "%s",
	    recv_all(c, other, sent < BIG ? sent : BIG) == (sent < BIG ? sent : BIG) ? "all"
										     : "not all");
}

static void timestamps(void)
{
	struct iovec iov = { buf, 100 };
	char control[256];
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int one = 1;

	setsockopt(c, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	pause_ms(300); /* the kernel turns them on later */
	send_all(s, "hello", 5);
	pause_ms(50);
	say_ret("recvmsg", recvmsg(c, &m, 0));
	say("time stamps", "%d", CMSG_FIRSTHDR(&m) ? CMSG_FIRSTHDR(&m)->cmsg_type : 0);
}

static void inq(void)
{
	struct iovec iov = { buf, 2 };
	char control[256];
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int one = 1;

	setsockopt(c, IPPROTO_TCP, TCP_INQ, &one, sizeof(one));
	send_all(s, "hello", 5);
	pause_ms(50);
	say_ret("recvmsg", recvmsg(c, &m, 0));
	say("TCP_INQ", "%d", CMSG_FIRSTHDR(&m) ? *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)) : -1);
}

static void zerocopy_send(void)
{
	char control[256];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	int one = 1;

	say_ret("SO_ZEROCOPY", setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	fill(buf, 65536, 6);
	say_ret("send", send(s, buf, 65536, MSG_ZEROCOPY));
	say("bytes", "%zu", recv_all(c, other, 65536));
	say("right", "%d", !memcmp(buf, other, 65536));
	say("completion", "%x", ready(s, 0, 1000));
	say_ret("error queue", recvmsg(s, &m, MSG_ERRQUEUE));
}

static void zerocopy_receive(void)
{
	struct tcp_zerocopy_receive z = { .copybuf_address = (uint64_t)(uintptr_t)other,
					  .copybuf_len = 65536 };
	socklen_t len = sizeof(z);

	fill(buf, 5000, 7);
	send_all(s, buf, 5000);
	pause_ms(50);
	say_ret("TCP_ZEROCOPY_RECEIVE", getsockopt(c, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z, &len));
	say("copied", "%d", z.copybuf_len);
	say("hint", "%d", z.recv_skip_hint);
}

static void splice_after(void)
{
	int fds[2], i;
	ssize_t n, total = 0;
	uint64_t end;

	if (pipe(fds))
		die("pipe");
	fill(buf, 1 << 20, 8);
	if (!fork()) {
		send_all(s, buf, 1 << 20);
		pause_ms(3000);
		_exit(0);
	}
	for (i = 0, end = now_ms() + 5000; total < 1 << 20 && now_ms() < end; i++) {
		if (!ready(c, POLLIN, 1000))
			continue;
		n = splice(c, NULL, fds[1], NULL, 65536, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n > 0)
			n = read(fds[0], other + total, n);
		else if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			total += n;
	}
	say("bytes", "%zd, %s", total, memcmp(buf, other, total) ? "wrong" : "right");
	say_ret("end", total == 1 << 20 ? 0 : recv(c, other, 1, 0));
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
			send_all(s, "head", 4);
			send_all(s, buf, size);
			_exit(0);
		}
		if (recv_all(c, other, 4) != 4 || memcmp(other, "head", 4))
			wrong++;
		for (total = 0; total < size;) {
			if (!ready(c, POLLIN, PATIENCE_MS)) {
				dead = ETIMEDOUT;
				break;
			}
			n = splice(c, NULL, fds[1], NULL, 65536, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
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
			n = sendfile(s, fileno(f), &at, BIG - at);
			if (n < 0 && errno == EAGAIN)
				ready(s, POLLOUT, PATIENCE_MS);
			else if (n <= 0)
				_exit(1);
		}
		_exit(0);
	}
	say("bytes", "%zu", recv_all(c, other, BIG));
	say("right", "%d", !memcmp(buf, other, BIG));
	wait(NULL);
}

static void cork(void)
{
	int on = 1, off = 0;

	setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	send_all(s, "hello", 5);
	pause_ms(50);
	say_ret("corked", recv(c, buf, 100, 0));
	setsockopt(s, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	pause_ms(50);
	say_ret("uncorked", recv(c, buf, 100, 0));
	send(s, "hello", 5, MSG_MORE);
	pause_ms(50);
	send_all(s, "world", 5);
	pause_ms(50);
	say_ret("MSG_MORE", recv(c, buf, 100, 0));
}

static volatile sig_atomic_t io;
static void on_io(int sig)
{
	(void)sig;
	io++;
}

static void sigio(void)
{
	signal(SIGIO, on_io);
	fcntl(c, F_SETOWN, getpid());
	fcntl(c, F_SETFL, fcntl(c, F_GETFL) | O_ASYNC);
	send_all(s, "hello", 5);
	pause_ms(50);
	pause_ms(50);
	say("SIGIO", "%s", io ? "came" : "did not come");
	say_ret("recv", recv(c, buf, 100, 0));
}

/* The same socket, connected again to another listener. */
static void disconnect(void)
{
	struct sockaddr any = { .sa_family = AF_UNSPEC };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		die("listen");
	say_ret("disconnect", connect(c, &any, sizeof(any)));
	say_ret("peer", recv(s, buf, 100, 0));
	close(s);
	nonblocking(c, false);
	say_ret("connect", connect(c, (void *)&addr, len));
	nonblocking(c, true);
	s = accept(listener, NULL, NULL);
	nonblocking(s, true);
	heat_up();
	send_all(s, "hello", 5);
	say("bytes", "%zu", recv_all(c, buf, 5));
}

static void descriptors(void)
{
	int copy = dup(c);
	pid_t pid = fork();

	if (!pid) {
		send_all(copy, "child", 5);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(c);
	c = copy;
	say("from the child", "%zu", recv_all(s, buf, 5));
	heat_up();
	say("still", "open");
}

/* Two readers of one socket, each in a thread. */
static size_t got[2];
static void *reader(void *arg)
{
	size_t *sum = arg;
	char room[1000];
	ssize_t n;

	for (;;) {
		if (!ready(c, POLLIN, 3000))
			break;
		n = recv(c, room, sizeof(room), 0);
		if (n > 0)
			*sum += n;
		else if (!n || errno != EAGAIN)
			break;
	}
	return NULL;
}

static void two_readers(void)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, reader, &got[i]);
	for (i = 0; i < 3000; i++)
		send_all(s, buf, 1000);
	shutdown(s, SHUT_WR);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	say("bytes", "%zu", got[0] + got[1]);
}

/* Two writers: each one's messages of 100 bytes must stay whole and in order. */
static void *writer(void *arg)
{
	char message[100];
	uint32_t i;

	memset(message, *(char *)arg, sizeof(message));
	for (i = 0; i < 20000; i++) {
		memcpy(message + 1, &i, 4);
		while (send(s, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
			ready(s, POLLOUT, 1000);
	}
	return NULL;
}

static void two_writers(void)
{
	uint32_t next[2] = {}, number;
	pthread_t t[2];
	int i, wrong = 0;
	char message[100];

	pthread_create(&t[0], NULL, writer, "a");
	pthread_create(&t[1], NULL, writer, "b");
	for (i = 0; i < 40000; i++) {
		if (recv_all(c, message, 100) != 100)
			break;
		memcpy(&number, message + 1, 4);
		if (message[99] != message[0] || number != next[message[0] == 'b']++)
			wrong++;
	}
	say("messages", "%d", i);
	say("wrong", "%d", wrong);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

static void tls_ulp(void)
{
	say_ret("TCP_ULP", setsockopt(c, IPPROTO_TCP, TCP_ULP, "tls", 4));
	send_all(s, "hello", 5);
	say("bytes", "%zu", recv_all(c, buf, 5));
}

static void info(void)
{
	struct tcp_info a, b;
	socklen_t len = sizeof(a);

	getsockopt(c, IPPROTO_TCP, TCP_INFO, &a, &len);
	send_all(s, buf, 1000);
	recv_all(c, other, 1000);
	getsockopt(c, IPPROTO_TCP, TCP_INFO, &b, &len);
	say("state", "%d", b.tcpi_state);
	say("bytes received", "%d", (int)(b.tcpi_bytes_received - a.tcpi_bytes_received));
}

static void keepalive(void)
{
	int one = 1, two = 2, timeout = 2000;

	setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(c, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one));
	setsockopt(c, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one));
	setsockopt(c, IPPROTO_TCP, TCP_KEEPCNT, &two, sizeof(two));
	setsockopt(c, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	pause_ms(4000);
	send_all(s, "hello", 5);
	say("bytes", "%zu", recv_all(c, buf, 5));
}

#ifdef HAVE_URING
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
	io_uring_prep_send(sqe, s, "hello", 5, 0);
	io_uring_submit(&ring);
	say_res("send", uring_wait());
	pause_ms(50);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, c, buf, 100, 0);
	io_uring_submit(&ring);
	say_res("recv", uring_wait());
	nonblocking(c, false);
	pid = later(say_hello, 200);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, c, buf, 10, MSG_WAITALL);
	io_uring_submit(&ring);
	say_res("recv, MSG_WAITALL", uring_wait());
	waitpid(pid, NULL, 0);
	fill(buf, 1 << 20, 11);
	if (!fork()) {
		send_all(s, buf, 1 << 20);
		shutdown(s, SHUT_WR);
		_exit(0);
	}
	for (;;) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_recv(sqe, c, other + total, 65536, 0);
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
	io_uring_prep_poll_add(sqe, c, POLLIN);
	io_uring_submit(&ring);
	say_res("poll", uring_wait());
	say_ret("recv", recv(c, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void uring_zerocopy(void)
{
	struct io_uring_sqe *sqe;

	if (io_uring_queue_init(8, &ring, 0))
		die("io_uring");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc(sqe, s, "hello", 5, 0, 0);
	io_uring_submit(&ring);
	say_res("send, zero copy", uring_wait());
}

/* The pair cools down and leaves: does the socket again what it did before? */
static void uring_zerocopy_later(void)
{
	int i;

	for (i = 0; i < 300; i++)
		send_all(s, "small", 5);
	recv_all(c, buf, 1500);
	pause_ms(500);
	uring_zerocopy();
}
#endif

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "blocking", blocking_after },
	{ "blocking-eof", blocking_eof },
	{ "blocking-signal", blocking_signal },
	{ "waitall", waitall },
	{ "waitall-nonblocking", waitall_nonblocking },
	{ "timeout", timeout_after },
	{ "lowat", lowat },
	{ "lowat-queued", lowat_queued },
	{ "peek", peek },
	{ "peek-off", peek_off },
	{ "trunc", truncate_some },
	{ "fionread", fionread },
	{ "outq", outq },
	{ "oob", oob },
	{ "oob-inline", oob_inline },
	{ "linger-reset", linger_reset },
	{ "data-then-reset", data_then_reset },
	{ "close-unread", close_unread },
	{ "linger-wait", linger_wait },
	{ "half-close", half_close },
	{ "shut-read", shut_read },
	{ "short-read", short_read },
	{ "hang-up", hang_up },
	{ "late-end", late_end },
	{ "slow-reader", slow_reader },
	{ "stalled-reader", stalled_reader },
	{ "timestamps", timestamps },
	{ "inq", inq },
	{ "zerocopy-send", zerocopy_send },
	{ "zerocopy-receive", zerocopy_receive },
	{ "splice", splice_after },
	{ "recv-then-splice", recv_then_splice },
	{ "sendfile", sendfile_in },
	{ "cork", cork },
	{ "sigio", sigio },
	{ "disconnect", disconnect },
	{ "descriptors", descriptors },
	{ "two-readers", two_readers },
	{ "two-writers", two_writers },
	{ "tls", tls_ulp },
	{ "info", info },
	{ "keepalive", keepalive },
#ifdef HAVE_URING
	{ "uring", uring },
	{ "uring-poll", uring_poll },
	{ "uring-zerocopy", uring_zerocopy },
	{ "uring-zerocopy-later", uring_zerocopy_later },
#endif
};

int main(int argc, char **argv)
{
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (argc < 2) {
			puts(cases[i].name);
		} else if (!strcmp(argv[1], cases[i].name)) {
			name = cases[i].name;
			connect_pair();
			heat_up();
			cases[i].run();
			return 0;
		}
	}
	return argc < 2 ? 0 : 2;
}
