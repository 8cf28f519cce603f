// SPDX-License-Identifier: GPL-2.0-only
/*
 * tproxy [OPTION]... {tcp|udp HOST PORT}...
 *
 * Listens as ziti-router does, but at any address, also of IPv6: TCP with IP_TRANSPARENT,
 * UDP with IP_RECVORIGDSTADDR, too. Answers come from the original destination; for UDP
 * from an unconnected socket that is bound there and kept for the flow.
 *
 *   --connect         connects the sockets of flows
 *   --flow-reuseport  with SO_REUSEPORT for the sockets of flows
 *   --reuseport       the same for the listeners
 *   --plain           without IP_TRANSPARENT
 *   --name NAME       the name in answers, instead of the listener's port
 *   --backlog NUMBER  of the TCP listeners (16)
 *   --abort           connections end with a reset, and leave no socket behind
 *   --pad BYTES       the size of the answer to a datagram, at least
 *   --direct          the listener itself answers a datagram
 *   --options         answers to datagrams carry IP options, or an extension header
 *   --recverr         the sockets of UDP get ICMP errors, also if they are not connected;
 *                     each is printed: "error: WHAT"
 *
 * A connection is greeted with a line and then echoed, until a line "bye"; a
 * datagram is answered with that line, and with which socket it came to:
 *
 *     local=10.1.2.3:80 remote=198.18.0.2:40000 via=NAME
 */
#include "peer.h"

#include <getopt.h>
#include <netinet/in.h>

#define SOCKETS 1024

enum kind { LISTENER, CONNECTION, UDP_LISTENER, UDP_FLOW };

static struct option_flags {
	int connect;
	int flow_reuseport;
	int reuseport;
	int backlog;
	int plain;
	int pad;
	int direct;
	int options;
	int recverr;
	int abort;
	const char *name;
} opt = { .backlog = 16 };

static struct one {
	enum kind kind;
	int via;              /* port of the listener it came from */
	union address local;  /* UDP_FLOW: the original destination */
	union address remote; /* UDP_FLOW: the client */
} ones[SOCKETS];

static struct pollfd fds[SOCKETS];
static int count;

static struct one *keep(int fd, enum kind kind, int via)
{
	if (count == SOCKETS)
		leave(FAIL, "too many sockets");
	fds[count] = (struct pollfd){ .fd = fd, .events = POLLIN };
	ones[count] = (struct one){ .kind = kind, .via = via };
	return &ones[count++];
}

static void drop(int i)
{
	close(fds[i].fd);
	count--;
	fds[i] = fds[count];
	ones[i] = ones[count];
}

static const char *text_of(const union address *a, char text[64])
{
	char host[INET6_ADDRSTRLEN];

	if (a->sa.sa_family == AF_INET6)
		snprintf(text, 64, "[%s]:%d",
			 inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)), port_of(a));
	else
		snprintf(text, 64, "%s:%d", inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)),
			 port_of(a));
	return text;
}

static int format_line(char *line, size_t size, const union address *local,
		       const union address *remote, int via)
{
	char a[64], b[64], port[8];

	snprintf(port, sizeof(port), "%d", via);
	return snprintf(line, size, "local=%s remote=%s via=%s", text_of(local, a),
			text_of(remote, b), opt.name ? opt.name : port);
}

static int new_socket(int family, int type, bool reuseport)
{
	bool v6 = family == AF_INET6;
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (reuseport)
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!opt.plain)
		set_option(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
	if (v6)
		set_option(fd, SOL_IPV6, IPV6_V6ONLY, 1);
	return fd;
}

static void add_options(int fd, bool v6)
{
	static const char nops[4] = { 1, 1, 1, 1 };
	/* an empty destination options header: length 8, padded */
	static const char header[8] = { 0, 0, 1, 4 };

	if (setsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_DSTOPTS : IP_OPTIONS,
		       v6 ? header : nops, v6 ? sizeof(header) : sizeof(nops)))
		die("options");
}

static int new_udp(int family, bool reuseport)
{
	bool v6 = family == AF_INET6;
	int fd = new_socket(family, SOCK_DGRAM, reuseport);

	if (opt.options)
		add_options(fd, v6);
	if (opt.recverr)
		set_option(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
	return fd;
}

static void start(const char *proto, const char *host, const char *port)
{
	union address a = address_of(host, atoi(port));
	bool v6 = a.sa.sa_family == AF_INET6, tcp = !strcmp(proto, "tcp");
	int fd = tcp ? new_socket(a.sa.sa_family, SOCK_STREAM, opt.reuseport)
		     : new_udp(a.sa.sa_family, opt.reuseport);

	if (!tcp)
		set_option(fd, v6 ? SOL_IPV6 : SOL_IP,
			   v6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, 1);
	if (bind(fd, &a.sa, address_len(&a)))
		die("bind");
	if (tcp && listen(fd, opt.backlog))
		die("listen");
	keep(fd, tcp ? LISTENER : UDP_LISTENER, port_of(&a));
}

static void greet(int listener, int via)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	union address local, remote;
	socklen_t llen = sizeof(local), rlen = sizeof(remote);
	const struct linger at_once = { 1, 0 };
	char line[256];

	if (fd < 0)
		return;
	if (opt.abort && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)))
		die("SO_LINGER");
	if (getsockname(fd, &local.sa, &llen) || getpeername(fd, &remote.sa, &rlen)) {
		close(fd);
		return;
	}
	format_line(line, sizeof(line), &local, &remote, via);
	if (dprintf(fd, "%s\n", line) < 0)
		close(fd);
	else
		keep(fd, CONNECTION, via);
}

/* Returns false when the connection is over. */
static bool echo(int fd)
{
	char buf[16384];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0 || (n >= 4 && !memcmp(buf, "bye\n", 4)))
		return false;
	return send(fd, buf, n, MSG_NOSIGNAL) == n;
}

static bool same(const union address *a, const union address *b)
{
	if (a->sa.sa_family != b->sa.sa_family || port_of(a) != port_of(b))
		return false;
	if (a->sa.sa_family == AF_INET6)
		return !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16);
	return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

/* Makes the socket that answers a flow, bound to its original destination. */
static int flow_socket(const union address *local, const union address *remote, int via)
{
	struct one *o;
	int i, fd;

	for (i = 0; i < count; i++)
		if (ones[i].kind == UDP_FLOW && same(&ones[i].local, local) &&
		    same(&ones[i].remote, remote))
			return fds[i].fd;
	fd = new_udp(local->sa.sa_family, opt.flow_reuseport);
	if (bind(fd, &local->sa, address_len(local)))
		die("bind to the original destination");
	if (opt.connect && connect(fd, &remote->sa, address_len(remote)))
		die("connect to the client");
	o = keep(fd, UDP_FLOW, via);
	o->local = *local;
	o->remote = *remote;
	return fd;
}

static bool original_destination(struct msghdr *msg, union address *ret)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(&ret->in, CMSG_DATA(c), sizeof(ret->in));
			return true;
		}
		if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(&ret->in6, CMSG_DATA(c), sizeof(ret->in6));
			return true;
		}
	}
	return false;
}

/* Sends from the address local, which the socket is not bound to. */
static void send_direct(int fd, const char *bytes, size_t size, const union address *local,
			const union address *remote)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {};
	struct iovec iov = { (void *)bytes, size };
	struct msghdr msg = {
		.msg_name = (void *)remote,
		.msg_namelen = address_len(remote),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct in_pktinfo *v4 = (void *)CMSG_DATA(&control.head);
	struct in6_pktinfo *v6 = (void *)CMSG_DATA(&control.head);
	bool is_v6 = local->sa.sa_family == AF_INET6;

	control.head.cmsg_level = is_v6 ? SOL_IPV6 : SOL_IP;
	control.head.cmsg_type = is_v6 ? IPV6_PKTINFO : IP_PKTINFO;
	control.head.cmsg_len = CMSG_LEN(is_v6 ? sizeof(*v6) : sizeof(*v4));
	msg.msg_controllen = CMSG_SPACE(is_v6 ? sizeof(*v6) : sizeof(*v4));
	if (is_v6)
		v6->ipi6_addr = local->in6.sin6_addr;
	else
		v4->ipi_spec_dst = local->in.sin_addr;
	sendmsg(fd, &msg, 0);
}

static void answer(int fd, const union address *local, const union address *remote, int via,
		   const char *by)
{
	static char line[65536];
	size_t size;

	format_line(line, 256, local, remote, via);
	strcat(line, by);
	size = strlen(line);
	if (size < (size_t)opt.pad) {
		line[size] = '\n';
		size = opt.pad;
	}
	if (opt.direct)
		send_direct(fd, line, size, local, remote);
	else if (opt.connect)
		send(fd, line, size, 0);
	else
		sendto(fd, line, size, 0, &remote->sa, address_len(remote));
}

/* Empties the error queue: while it has entries, the socket stays readable. */
static void say_error(int fd)
{
	char bytes[1];

	say("error: %s", strerror(errno));
	while (recv(fd, bytes, sizeof(bytes), MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		;
}

static void serve_datagram(int fd, int via)
{
	union address local = {}, remote = {};
	char bytes[65536], control[256];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_name = &remote,
		.msg_namelen = sizeof(remote),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(fd, &msg, 0) < 0)
		say_error(fd);
	else if (original_destination(&msg, &local))
		answer(opt.direct ? fd : flow_socket(&local, &remote, via), &local, &remote, via,
		       " by=listener");
}

static void serve_flow(int fd, const struct one *o)
{
	union address remote = {};
	socklen_t len = sizeof(remote);
	char bytes[65536];

	if (recvfrom(fd, bytes, sizeof(bytes), 0, &remote.sa, &len) < 0)
		say_error(fd);
	else
		answer(fd, &o->local, &remote, o->via, " by=flow");
}

static void serve(int i)
{
	int fd = fds[i].fd;

	switch (ones[i].kind) {
	case LISTENER:
		greet(fd, ones[i].via);
		break;
	case CONNECTION:
		if (!echo(fd))
			drop(i);
		break;
	case UDP_LISTENER:
		serve_datagram(fd, ones[i].via);
		break;
	case UDP_FLOW:
		serve_flow(fd, &ones[i]);
	}
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "connect", no_argument, &opt.connect, 1 },
		{ "flow-reuseport", no_argument, &opt.flow_reuseport, 1 },
		{ "reuseport", no_argument, &opt.reuseport, 1 },
		{ "plain", no_argument, &opt.plain, 1 },
		{ "direct", no_argument, &opt.direct, 1 },
		{ "options", no_argument, &opt.options, 1 },
		{ "recverr", no_argument, &opt.recverr, 1 },
		{ "abort", no_argument, &opt.abort, 1 },
		{ "pad", required_argument, NULL, 'p' },
		{ "name", required_argument, NULL, 'n' },
		{ "backlog", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'n')
			opt.name = optarg;
		else if (c == 'b')
			opt.backlog = atoi(optarg);
		else if (c == 'p')
			opt.pad = atoi(optarg);
		else if (c)
			exit(2);
	}
}

int main(int argc, char **argv)
{
	int i;

	read_options(argc, argv);
	for (; argc - optind >= 3; optind += 3)
		start(argv[optind], argv[optind + 1], argv[optind + 2]);
	if (!count || optind != argc)
		leave(2, "usage: tproxy [OPTION]... {tcp|udp HOST PORT}...");
	say("ready");
	for (;;) {
		if (poll(fds, count, -1) < 0)
			die("poll");
		/* Backwards: serving one may move the last one to its place. */
		for (i = count - 1; i >= 0; i--)
			if (fds[i].revents)
				serve(i);
	}
}
