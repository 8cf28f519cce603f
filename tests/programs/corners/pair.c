// SPDX-License-Identifier: GPL-2.0-only
/* The connection, its hot phase, and what all cases use. */
#include "corners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <time.h>

#define HOT_MS 1500

const char *case_name;
char buf[BIG], other[BIG];
int server, client;

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", case_name, what, strerror(errno));
	exit(1);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

void say(const char *what, const char *format, ...)
{
	va_list args;

	printf("%s: %s = ", case_name, what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void say_ret(const char *what, ssize_t n)
{
	if (n < 0)
		say(what, "%s", strerrorname_np(errno));
	else
		say(what, "%zd", n);
}

void fill(char *p, size_t size, int salt)
{
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = i * 7 + (i >> 8) * 13 + salt;
}

void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

short ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

void send_all(int fd, const char *p, size_t size)
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

size_t recv_all(int fd, char *p, size_t size)
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

/* The server's end of the hot phase is a thread. */
static volatile bool hot;

static void *echo(void *unused)
{
	char room[4096];
	ssize_t n;

	while (hot) {
		if (!ready(server, POLLIN, 20))
			continue;
		n = recv(server, room, sizeof(room), 0);
		if (n > 0)
			send_all(server, room, n);
	}
	return unused;
}

void connect_pair(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || connect(client, (void *)&addr, len))
		die("connect");
	server = accept(listener, NULL, NULL);
	close(listener);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	nonblocking(server, true);
	nonblocking(client, true);
}

void heat_up(void)
{
	uint64_t end = now_ms() + HOT_MS;
	char out[256], in[256];
	pthread_t thread;
	int turn = 0;

	hot = true;
	pthread_create(&thread, NULL, echo, NULL);
	while (now_ms() < end) {
		fill(out, sizeof(out), turn++);
		send_all(client, out, sizeof(out));
		if (recv_all(client, in, sizeof(in)) != sizeof(in) || memcmp(in, out, sizeof(in)))
			die("hot phase");
	}
	hot = false;
	pthread_join(thread, NULL);
}

pid_t later(void (*what)(void), int ms)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(client);
		pause_ms(ms);
		what();
		_exit(0);
	}
	return pid;
}

void say_hello(void)
{
	send_all(server, "hello", 5);
	pause_ms(300);
	send_all(server, "world", 5);
	pause_ms(300);
}
