// SPDX-License-Identifier: GPL-2.0-only
/*
 * corner CASE
 *
 * Request and response between two non-blocking sockets of this process, until a line
 * comes on stdin; prints "hot" at the start. Then a CASE, whose result has to be that of
 * TCP:
 *
 *   cork          bytes sent on a corked socket arrive only when it is uncorked
 *   peek          SO_PEEK_OFF: each MSG_PEEK goes on where the last one ended
 *   inq           TCP_INQ says how many bytes are left to read
 *   burst         200 messages without an answer are read, or peeked at, at once
 *   hangup        a reader that takes a short read and POLLHUP for the end gets all bytes
 *   stall         the same, when the rest and the end come later: prints "sent", and
 *                 waits for a line
 *   late-splice   then a splice, which must not get bytes that were sent later
 *   hoard         a splice, then all that can be sent to a reader that reads no more
 *   block-splice  the reader blocks for a while; a splice must not get the bytes of then
 *   grow          an answer larger than all before is spliced
 *   urgent        ten bytes with MSG_OOB
 *   urgent32      the same by the system call of a 32-bit program
 *   listen        a socket is disconnected with bytes unread, and listens until a line
 *   reset         the other end resets: a send returns ECONNRESET once, then EPIPE
 *   forget        a socket is disconnected with bytes unread: they are gone
 *   half          the client shuts its side, the server streams until the next line
 *   splice        a splice from another connection, while this one goes on until a line
 *
 * These cases do nothing after "hot", but begin in another way:
 *
 *   adopt         prints "once" after one turn, and waits for a line
 *   thread        in a network namespace that only a thread is in
 *   reconnect     the accepted socket disconnects and connects to a new listener
 */
#include "turns.h"

#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static bool hung_up(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

static void expect(const char *what, ssize_t got, ssize_t due)
{
	if (got != due)
		leave(FAIL, "%s: %zd, due: %zd", what, got, due);
}

/* The client reads until a short read with POLLHUP, and takes that for the end. */
static void expect_to_the_end(ssize_t due)
{
	static char got[65536];
	ssize_t n, total = 0;

	until(hung_up(client));
	do {
		n = recv(client, got, sizeof(got), 0);
		total += n > 0 ? n : 0;
	} while (n == sizeof(got));
	expect("bytes", total, due);
}

static void cork(void)
{
	char got[16];

	set_option(server, IPPROTO_TCP, TCP_CORK, 1);
	send_all(server, "hello", 5);
	if (readable(client, 50))
		leave(FAIL, "came in spite of the cork");
	set_option(server, IPPROTO_TCP, TCP_CORK, 0);
	if (!readable(client, PATIENCE))
		leave(FAIL, "did not come when the cork was pulled");
	expect("recv", recv(client, got, sizeof(got), 0), 5);
}

static void peek(void)
{
	char got[16] = "";

	set_option(client, SOL_SOCKET, SO_PEEK_OFF, 0);
	send_all(server, "abcdefgh", 8);
	until(readable(client, 0));
	expect("first", recv(client, got, 4, MSG_PEEK), 4);
	expect("second", recv(client, got, 4, MSG_PEEK), 4);
	if (memcmp(got, "efgh", 4))
		leave(FAIL, "the second peek got '%.4s'", got);
}

static void inq(void)
{
	char got[2], control[64];
	struct iovec iov = { got, sizeof(got) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };

	set_option(client, IPPROTO_TCP, TCP_INQ, 1);
	send_all(server, "hello", 5);
	until(readable(client, 0));
	expect("recvmsg", recvmsg(client, &m, 0), 2);
	if (!CMSG_FIRSTHDR(&m))
		leave(FAIL, "no word of what is left");
	expect("left", *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)), 3);
}

static void burst(void)
{
	char got[1000];
	int i;

	send_one_way(client, server);
	for (i = 0; i < 200; i++)
		send_all(server, "x", 1);
	until(recv(client, got, sizeof(got), MSG_PEEK) == 200);
	expect("recv", recv(client, got, sizeof(got), 0), 200);
}

/* Reads as libuv does. There are more messages than the fast path keeps unread. */
static void hangup(void)
{
	char got;
	char message[40] = "";
	int i;

	set_option(client, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	send_one_way(client, server);
	shutdown(client, SHUT_WR);
	until(!recv(server, &got, 1, 0));
	set_nonblocking(server, false);
	for (i = 0; i < 2300; i++)
		send_all(server, message, sizeof(message));
	close(server);
	expect_to_the_end(2300 * sizeof(message));
}

#define BURST 200

/* Redirected bytes wait for the client. Prints "sent". */
static void send_burst(void)
{
	int i;

	send_one_way(client, server);
	for (i = 0; i < BURST; i++)
		send_all(server, "earlier.", 8);
	say("sent");
}

static void stall(void)
{
	char got;
	int i;

	send_burst();
	await_line();
	for (i = 0; i < BURST; i++)
		send_all(server, "later...", 8);
	shutdown(client, SHUT_WR);
	until(!recv(server, &got, 1, 0));
	close(server);
	expect_to_the_end(2 * BURST * 8);
}

static ssize_t splice_from(int fd, size_t size)
{
	int pipes[2];

	if (pipe(pipes))
		die("pipe");
	return splice(fd, NULL, pipes[1], NULL, size, SPLICE_F_NONBLOCK);
}

static void late_splice(void)
{
	send_burst();
	await_line();
	send_all(server, "later...", 8);
	expect("splice", splice_from(client, 8), -1);
}

#define TOO_MUCH (64 << 20)

static void hoard(void)
{
	static char bytes[65536];
	ssize_t n, total = 0;

	send_one_way(client, server);
	send_all(server, "earlier.", 8);
	expect("splice", splice_from(client, 8), -1);
	while ((n = send(server, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0 && total < TOO_MUCH)
		total += n;
	if (total >= TOO_MUCH)
		leave(FAIL, "%zd bytes were taken", total);
}

static void block_splice(void)
{
	send_one_way(client, server);
	send_all(server, "earlier.", 8);
	set_nonblocking(client, false);
	send_all(server, "later...", 8);
	set_nonblocking(client, true);
	expect("splice", splice_from(client, 8), -1);
}

static void grow(void)
{
	static char bytes[65536];
	ssize_t n, total = 0;
	int pipes[2];

	if (pipe(pipes))
		die("pipe");
	send_one_way(client, server);
	memset(bytes, 'x', sizeof(bytes));
	send_all(server, bytes, sizeof(bytes));
	while (total < (ssize_t)sizeof(bytes)) {
		until(readable(client, 0));
		n = splice(client, NULL, pipes[1], NULL, sizeof(bytes), SPLICE_F_NONBLOCK);
		if (n <= 0 || read(pipes[0], bytes, n) != n || memchr(bytes, 0, n))
			die("splice");
		total += n;
	}
}

static void urgent(void)
{
	struct pollfd p = { .fd = client, .events = POLLPRI };

	send_one_way(client, server); /* or the burst is larger than all before, and goes by TCP */
	if (send(server, "0123456789", 10, MSG_OOB) != 10)
		die("MSG_OOB");
	until(poll(&p, 1, 0) == 1 && p.revents & POLLPRI);
}

static long send32(int fd, const void *bytes, int flags)
{
	long ret = -ENOSYS;

#ifdef __x86_64__
	/* sendto; addresses have 32 bits */
	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(369L), "b"((long)fd), "c"(bytes), "d"(10L), "S"((long)flags), "D"(0L)
		     : "memory", "r8", "r9", "r10", "r11");
#endif
	return ret;
}

static void urgent32(void)
{
	struct pollfd p = { .fd = client, .events = POLLPRI };
	char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long n;

	if (bytes == MAP_FAILED)
		die("mmap");
	send_one_way(client, server);
	n = send32(server, memcpy(bytes, "0123456789", 10), MSG_OOB);
	if (n == -ENOSYS)
		leave(SKIP, "no system calls of 32-bit programs");
	expect("sent", n, 10);
	until(poll(&p, 1, 0) == 1 && p.revents & POLLPRI);
}

static void listen_again(void)
{
	union address any = {};

	send_one_way(client, server);
	send_all(server, "unread", 6);
	if (connect(client, &any.sa, sizeof(any.in)) || listen(client, 1))
		die("listen");
	say("listens");
	await_line();
}

static bool sends(int error)
{
	return send(client, "x", 1, MSG_NOSIGNAL) < 0 && errno == error;
}

static void reset(void)
{
	struct linger hard = { .l_onoff = 1 };

	if (setsockopt(server, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) || close(server))
		die("reset");
	until(hung_up(client));
	if (!sends(ECONNRESET))
		die("send after a reset");
	until(sends(EPIPE));
}

static bool receives(int error)
{
	char got[16];

	return recv(client, got, sizeof(got), 0) < 0 && errno == error;
}

static void forget(void)
{
	union address any = {};

	send_all(server, "unread", 6);
	if (connect(client, &any.sa, sizeof(any.in)))
		die("disconnect");
	say("disconnected");
	await_line();
	if (!receives(ECONNRESET) && errno != ENOTCONN)
		leave(FAIL, "what was sent before is still there");
	until(receives(ENOTCONN));
}

static void half(void)
{
	struct pollfd line = { .fd = 0, .events = POLLIN };

	if (shutdown(client, SHUT_WR))
		die("shutdown");
	while (!poll(&line, 1, 0))
		send_one_way(server, client);
}

static void splice_elsewhere(void)
{
	int from = server, to = client, pipes[2];

	connect_pair();
	send_all(server, "hello", 5);
	if (pipe(pipes))
		die("pipe");
	until(splice(client, NULL, pipes[1], NULL, 5, SPLICE_F_NONBLOCK) == 5);
	server = from;
	client = to;
	heat_up();
}

static void take_one_turn(void)
{
	send_one_way(client, server);
	send_one_way(server, client);
	say("once");
	await_line();
}

static void reconnect(void)
{
	union address any = {}, a = address_of("127.0.0.1", SERVER_PORT + 1);
	int listener = listen_at(&a, 1);

	send_one_way(client, server);
	send_one_way(server, client);
	if (connect(server, &any.sa, sizeof(any.in)))
		die("disconnect");
	close(client);
	set_nonblocking(server, false);
	if (connect(server, &a.sa, sizeof(a.in)))
		die("connect again");
	set_nonblocking(server, true);
	client = accept_from(listener);
	set_nonblocking(client, true);
}

static void *live_apart(void *unused)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (unshare(CLONE_NEWNET) || ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &lo))
		die("a namespace");
	connect_pair();
	heat_up();
	return unused;
}

static void thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, live_apart, NULL) || pthread_join(t, NULL))
		die("a thread");
}

static void nothing(void)
{
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = { { "cork", cork },
		      { "peek", peek },
		      { "inq", inq },
		      { "burst", burst },
		      { "hangup", hangup },
		      { "stall", stall },
		      { "late-splice", late_splice },
		      { "hoard", hoard },
		      { "block-splice", block_splice },
		      { "grow", grow },
		      { "urgent", urgent },
		      { "urgent32", urgent32 },
		      { "listen", listen_again },
		      { "reset", reset },
		      { "forget", forget },
		      { "half", half },
		      { "splice", splice_elsewhere },
		      { "adopt", nothing },
		      { "reconnect", nothing } };
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "thread")) {
		thread();
		return PASS;
	}
	connect_pair();
	if (argc == 2 && !strcmp(argv[1], "adopt"))
		take_one_turn();
	if (argc == 2 && !strcmp(argv[1], "reconnect"))
		reconnect();
	heat_up();
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (argc == 2 && !strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			return PASS;
		}
	leave(2,
	      "usage: corner cork|peek|inq|burst|hangup|stall|late-splice|hoard|block-splice|grow|"
	      "urgent|urgent32|listen|reset|forget|half|splice|adopt|thread|reconnect");
}
