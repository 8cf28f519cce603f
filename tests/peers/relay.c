// SPDX-License-Identifier: GPL-2.0-only
/*
 * relay [--child | --grandchild] CGROUP HOST PORT
 *
 * A router as with socket activation: listens with IP_TRANSPARENT at HOST and PORT, by
 * TCP and UDP, then moves to the cgroup, prints "ready", and relays to the original
 * destinations. Prints "accepted" for each connection or datagram. Ends at the 200th: then
 * its own connections are steered back to it.
 *
 *   --child       for each connection a process that has this connection only
 *   --grandchild  and another process that connects
 */
#include "peer.h"

#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>

#define MOST 200
#define ANSWER_MS 2000

static struct option_flags {
	int child;
	int grandchild;
} opt;

static int accepted;

static void count_one(void)
{
	say("accepted");
	if (++accepted == MOST)
		leave(FAIL, "%d connections: a loop", MOST);
}

/* Makes a transparent socket at that address. */
static int open_at(const union address *a, int type)
{
	bool v6 = a->sa.sa_family == AF_INET6;
	int fd = socket(a->sa.sa_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
	if (bind(fd, &a->sa, address_len(a)))
		die("bind");
	return fd;
}

static void move_to(const char *cgroup)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
}

/* Returns false at the end of the stream. */
static bool pass_on(int from, int to)
{
	char bytes[16384];
	ssize_t n = read(from, bytes, sizeof(bytes));

	return n > 0 && write(to, bytes, n) == n;
}

static void pump(int a, int b)
{
	struct pollfd fds[] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };

	while (poll(fds, 2, -1) > 0)
		if ((fds[0].revents && !pass_on(a, b)) || (fds[1].revents && !pass_on(b, a)))
			break;
	exit(PASS);
}

static int connect_on(const union address *to)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, &to->sa, address_len(to)))
		die("connect on");
	return fd;
}

/* Connects in another process, which talks to this one. */
static int connect_by_child(const union address *to, int conn)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		die("socketpair");
	if (!fork()) {
		close(conn);
		close(ends[0]);
		pump(ends[1], connect_on(to));
	}
	close(ends[1]);
	return ends[0];
}

static void serve_connection(int listener, int datagrams)
{
	int conn = accept_from(listener), upstream = -1;
	union address to;
	socklen_t len = sizeof(to);

	if (getsockname(conn, &to.sa, &len))
		die("getsockname");
	count_one();
	if (!opt.child)
		upstream = connect_on(&to);
	if (!fork()) {
		close(listener);
		close(datagrams);
		if (opt.grandchild)
			upstream = connect_by_child(&to, conn);
		else if (opt.child)
			upstream = connect_on(&to);
		pump(conn, upstream);
	}
	close(conn);
	if (upstream >= 0)
		close(upstream);
}

static bool original_destination(struct msghdr *msg, union address *ret)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR)
			memcpy(&ret->in, CMSG_DATA(c), sizeof(ret->in));
		else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR)
			memcpy(&ret->in6, CMSG_DATA(c), sizeof(ret->in6));
		else
			continue;
		return true;
	}
	return false;
}

/* Sends a datagram on, and its answer back. */
static void ask_for(const char *bytes, size_t size, const union address *to,
		    const union address *client)
{
	int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char answer[65536];
	ssize_t n;

	if (fd < 0 || sendto(fd, bytes, size, 0, &to->sa, address_len(to)) < 0)
		die("send on");
	if (poll(&wait, 1, ANSWER_MS) <= 0)
		exit(FAIL);
	n = recv(fd, answer, sizeof(answer), 0);
	if (n > 0)
		sendto(open_at(to, SOCK_DGRAM), answer, n, 0, &client->sa, address_len(client));
	exit(PASS);
}

static void serve_datagram(int fd)
{
	union address to = {}, client = {};
	char bytes[65536], control[256];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_name = &client,
		.msg_namelen = sizeof(client),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, 0);

	if (n < 0 || !original_destination(&msg, &to))
		return;
	count_one();
	if (!fork())
		ask_for(bytes, n, &to, &client);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "child", no_argument, &opt.child, 1 },
		{ "grandchild", no_argument, &opt.grandchild, 1 },
		{ NULL, 0, NULL, 0 },
	};

	while (!getopt_long(argc, argv, "+", options, NULL))
		;
	opt.child |= opt.grandchild;
	if (argc - optind != 3)
		leave(2, "usage: relay [--child | --grandchild] CGROUP HOST PORT");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	union address a;
	bool v6;

	read_options(argc, argv);
	signal(SIGCHLD, SIG_IGN);
	a = address_of(argv[optind + 1], atoi(argv[optind + 2]));
	v6 = a.sa.sa_family == AF_INET6;
	fds[0].fd = open_at(&a, SOCK_STREAM);
	fds[1].fd = open_at(&a, SOCK_DGRAM);
	set_option(fds[1].fd, v6 ? SOL_IPV6 : SOL_IP,
		   v6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, 1);
	if (listen(fds[0].fd, MOST))
		die("listen");
	move_to(argv[optind]);
	say("ready");
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			serve_connection(fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			serve_datagram(fds[1].fd);
	}
}
