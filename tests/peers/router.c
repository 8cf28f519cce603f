// SPDX-License-Identifier: GPL-2.0-only
/*
 * router [--mptcp] {tcp|udp HOST PORT}...
 *
 * A router with the socket options of ziti-router: listeners with IP_TRANSPARENT,
 * SO_REUSEADDR and IP_RECVORIGDSTADDR. Answers to a datagram come from an unconnected
 * socket with the same options, bound to the original destination. ziti-router itself
 * listens on 127.0.0.1 only; other routers on ::1, too. Everything goes to the original
 * destination, from the client's address and port: the service sees no difference. Two
 * threads carry each TCP connection.
 */
#include "peer.h"

#include <netinet/in.h>
#include <pthread.h>

#define FLOWS 256
#define DATAGRAM 65536

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct ends {
	int from;
	int to;
};

static struct flow {
	union address client;
	union address service;
	struct ends ends; /* from upstream to the client: the reply socket */
} flows[FLOWS];

static int flow_count;
static bool mptcp;

static int transparent_socket(int family, int type, int protocol)
{
	bool v6 = family == AF_INET6;
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 && protocol == IPPROTO_MPTCP)
		leave(SKIP, "no MPTCP in this kernel");
	if (fd < 0)
		die("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
	if (!v6 && protocol != IPPROTO_MPTCP) /* MPTCP does not know the option */
		set_option(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);
	return fd;
}

static void begin(void *(*work)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, arg))
		die("thread");
	pthread_detach(thread);
}

/* --- TCP --------------------------------------------------------------------- */

static void *carry_stream(void *arg)
{
	struct ends e = *(struct ends *)arg;
	char bytes[65536];
	ssize_t n;

	free(arg);
	while ((n = recv(e.from, bytes, sizeof(bytes), 0)) > 0)
		if (send(e.to, bytes, n, MSG_NOSIGNAL) != n)
			break;
	shutdown(e.to, SHUT_WR);
	return NULL;
}

static struct ends *new_ends(int from, int to)
{
	struct ends *e = malloc(sizeof(*e));

	if (!e)
		die("malloc");
	*e = (struct ends){ from, to };
	return e;
}

/* Both sockets stay open until we end: neither thread may close them. */
static void *carry_connection(void *arg)
{
	struct ends *e = arg;
	union address client = {}, service = {};
	socklen_t len = sizeof(client);
	int up;

	if (getpeername(e->from, &client.sa, &len) || (len = sizeof(service)) == 0 ||
	    getsockname(e->from, &service.sa, &len))
		die("addresses");
	up = transparent_socket(service.sa.sa_family, SOCK_STREAM, 0);
	if (bind(up, &client.sa, len))
		die("bind to the client's address");
	if (connect(up, &service.sa, len)) {
		close(e->from);
		close(up);
	} else {
		begin(carry_stream, new_ends(up, e->from));
		e->to = up;
		return carry_stream(e);
	}
	free(e);
	return NULL;
}

static void *serve_tcp(void *arg)
{
	int listener = *(int *)arg, fd;

	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			die("accept");
		begin(carry_connection, new_ends(fd, -1));
	}
	return NULL;
}

/* --- UDP --------------------------------------------------------------------- */

static bool same(const union address *a, const union address *b)
{
	if (a->sa.sa_family != b->sa.sa_family || port_of(a) != port_of(b))
		return false;
	if (a->sa.sa_family == AF_INET6)
		return !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16);
	return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

static void *carry_answers(void *arg)
{
	struct flow *f = arg;
	char bytes[DATAGRAM];
	ssize_t n;

	for (;;) {
		n = recv(f->ends.from, bytes, sizeof(bytes), 0);
		if (n < 0)
			say("error: %s", strerror(errno));
		else
			sendto(f->ends.to, bytes, n, 0, &f->client.sa, address_len(&f->client));
	}
	return NULL;
}

static struct flow *flow_of(const union address *client, const union address *service)
{
	struct flow *f;
	int i;

	for (i = 0; i < flow_count; i++)
		if (same(&flows[i].client, client) && same(&flows[i].service, service))
			return &flows[i];
	if (flow_count == FLOWS)
		leave(FAIL, "too many flows");
	f = &flows[flow_count++];
	f->client = *client;
	f->service = *service;
	f->ends.to = transparent_socket(service->sa.sa_family, SOCK_DGRAM, 0);
	if (bind(f->ends.to, &service->sa, address_len(service)))
		die("bind to the original destination");
	f->ends.from = transparent_socket(client->sa.sa_family, SOCK_DGRAM, 0);
	set_option(f->ends.from, SOL_SOCKET, SO_REUSEPORT, 1);
	if (bind(f->ends.from, &client->sa, address_len(client)) ||
	    connect(f->ends.from, &service->sa, address_len(service)))
		die("upstream");
	begin(carry_answers, f);
	return f;
}

/* ziti-router knows IP_ORIGDSTADDR only; a router with IPv6 the other one too. */
static bool original_destination(struct msghdr *msg, union address *ret)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
		    (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR)) {
			memcpy(ret, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
			return true;
		}
	}
	return false;
}

static void *serve_udp(void *arg)
{
	int fd = *(int *)arg;
	static __thread char bytes[DATAGRAM];
	union address client, service;
	char control[256];
	ssize_t n;

	for (;;) {
		struct iovec iov = { bytes, sizeof(bytes) };
		struct msghdr msg = {
			.msg_name = &client,
			.msg_namelen = sizeof(client),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		memset(&client, 0, sizeof(client));
		memset(&service, 0, sizeof(service));
		n = recvmsg(fd, &msg, 0);
		if (n >= 0 && original_destination(&msg, &service))
			send(flow_of(&client, &service)->ends.from, bytes, n, 0);
	}
	return NULL;
}

/* --- */

static void start(bool tcp, union address a)
{
	bool v6 = a.sa.sa_family == AF_INET6;
	int *fd = malloc(sizeof(*fd));

	if (!fd)
		die("malloc");
	*fd = transparent_socket(a.sa.sa_family, tcp ? SOCK_STREAM : SOCK_DGRAM,
				 tcp && mptcp ? IPPROTO_MPTCP : 0);
	if (!tcp && v6)
		set_option(*fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1);
	if (bind(*fd, &a.sa, address_len(&a)) || (tcp && listen(*fd, 128)))
		die("listen");
	begin(tcp ? serve_tcp : serve_udp, fd);
}

int main(int argc, char **argv)
{
	int i = 1;

	if (argc > 1 && !strcmp(argv[1], "--mptcp")) {
		mptcp = true;
		i++;
	}
	if (argc - i < 3 || (argc - i) % 3)
		leave(2, "usage: router [--mptcp] {tcp|udp HOST PORT}...");
	for (; i < argc; i += 3)
		start(!strcmp(argv[i], "tcp"), address_of(argv[i + 1], atoi(argv[i + 2])));
	say("ready");
	for (;;)
		pause();
}
