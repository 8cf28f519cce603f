// SPDX-License-Identifier: GPL-2.0-only
/* The client that makes traffic, and the listeners that take it. */
#include "tproxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static unsigned long long state = 1;

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

static struct sockaddr_in somewhere(enum kind kind)
{
	unsigned int i = pick(MANY);

	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(10U << 24 | i << 8 | (kind == NEW_FLOWS ? pick(256) : 1)),
	};
}

static void connect_once(void)
{
	struct sockaddr_in to = somewhere(CONNECTIONS);
	struct linger reset = { 1, 0 };
	struct timeval patience = { 2, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char byte = 'x';

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (void *)&to, sizeof(to)) || write(fd, &byte, 1) != 1 ||
	    read(fd, &byte, 1) != 1)
		die("connection");
	close(fd);
}

static double tcp_rate(void)
{
	double begin = now(), end;
	int n = 0;

	do {
		connect_once();
		n++;
		end = now();
	} while (end - begin < seconds);
	return n / (end - begin);
}

/* When sendto() returns, the datagram is in the listener's socket already: the same CPU
 * carries it there. */
static double udp_rate(enum kind kind)
{
	int i, n = 0, fd = socket(AF_INET, SOCK_DGRAM, 0);
	double begin = now(), end;

	do {
		for (i = 0; i < 64; i++) {
			struct sockaddr_in to = somewhere(kind);

			if (sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)) != 1)
				die("datagram");
		}
		n += i;
		end = now();
	} while (end - begin < seconds);
	close(fd);
	return n / (end - begin);
}

void client(int orders, int answers)
{
	enum kind kind;
	double rate;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(1);
	if (unshare(CLONE_NEWNET) || write(answers, "", 1) != 1)
		die("client");
	while (read(orders, &kind, sizeof(kind)) == sizeof(kind)) {
		rate = kind == CONNECTIONS ? tcp_rate() : udp_rate(kind);
		if (write(answers, &rate, sizeof(rate)) != sizeof(rate))
			die("client");
	}
	exit(0);
}

/* Makes a listener. It is transparent, unless it is on all addresses. */
static int listener(int type, unsigned int address, int port)
{
	struct sockaddr_in at = { AF_INET, htons(port), { htonl(address) }, {} };
	int fd = socket(AF_INET, type, 0), one = address != INADDR_ANY, bytes = 64 << 20;

	setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (bind(fd, (void *)&at, sizeof(at)) || (type == SOCK_STREAM && listen(fd, 64)))
		die("listener");
	return fd;
}

static void serve_tcp(int fd)
{
	char byte;
	int one = 1, c;

	while ((c = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (read(c, &byte, 1) == 1)
			(void)!send(c, &byte, 1, MSG_NOSIGNAL);
		close(c);
	}
}

static void serve_udp(int fd)
{
	struct mmsghdr m[64] = {};
	struct iovec v[64];
	char bytes[64][16];
	int i, n;

	for (i = 0; i < 64; i++) {
		v[i] = (struct iovec){ bytes[i], 16 };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	while ((n = recvmmsg(fd, m, 64, MSG_WAITFORONE, NULL)) > 0)
		*received += n;
}

static pid_t spawn(void (*serve)(int), int fd)
{
	pid_t child = fork();

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0);
	serve(fd);
	exit(1);
}

void start_listeners(void)
{
	spawn(serve_tcp, listener(SOCK_STREAM, INADDR_LOOPBACK, LISTENER));
	spawn(serve_udp, listener(SOCK_DGRAM, INADDR_LOOPBACK, LISTENER));
	spawn(serve_tcp, listener(SOCK_STREAM, INADDR_ANY, PORT));
	spawn(serve_udp, listener(SOCK_DGRAM, INADDR_ANY, PORT));
}
