// SPDX-License-Identifier: GPL-2.0-only
/*
 * ask [--from HOST] [--sport PORT] [--size BYTES] [--mark N] [--options]
 *     [--patience SEC] [--stay] tcp|udp HOST PORT
 * ask --serve
 *
 * Connects, or sends a datagram, and prints the line that comes back; after the line of
 * a datagram also " from=ADDRESS:PORT". Without an answer it prints "refused", "reset",
 * "closed" or "silence", with exit status 1. With --stay it then sends each line that it
 * reads, prints the answers, and ends when the other end does. --options sends IPv4
 * options, or an IPv6 extension header. --serve reads such command lines and does one
 * after the other.
 */
#include "peer.h"

#include <getopt.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/time.h>
#include <sys/wait.h>

#define WORDS 16

static struct wishes {
	const char *from;
	int sport;
	int mark;
	size_t size;
	int options;
	int patience; /* seconds until an answer */
	int stay;
} opt = { .size = 6, .patience = 3 };

static bool tcp;
static union address to;

static void nothing(const char *what)
{
	say("%s", what);
	exit(FAIL);
}

static void no_answer(void)
{
	nothing(errno == ECONNREFUSED ? "refused" : errno == ECONNRESET ? "reset" : "silence");
}

static void add_options(int fd, bool v6)
{
	static const char nops[] = { IPOPT_NOP, IPOPT_NOP, IPOPT_NOP, IPOPT_NOP };
	/* an empty destination options header: length 8, padded */
	static const char header[8] = { 0, 0, IP6OPT_PADN, 4 };

	if (setsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_DSTOPTS : IP_OPTIONS,
		       v6 ? header : nops, v6 ? sizeof(header) : sizeof(nops)))
		die("options");
}

static int open_one(void)
{
	struct timeval patience = { opt.patience, 0 };
	bool v6 = to.sa.sa_family == AF_INET6;
	union address from = address_of(opt.from ? opt.from : v6 ? "::" : "0.0.0.0", opt.sport);
	int fd = socket(to.sa.sa_family, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		die("time-outs");
	if (opt.mark)
		set_option(fd, SOL_SOCKET, SO_MARK, opt.mark);
	if (opt.options)
		add_options(fd, v6);
	if (bind(fd, &from.sa, address_len(&from)))
		die("bind");
	if (tcp && connect(fd, &to.sa, address_len(&to)))
		no_answer();
	return fd;
}

static void print_from(const union address *a)
{
	char host[INET6_ADDRSTRLEN];
	bool v6 = a->sa.sa_family == AF_INET6;

	inet_ntop(a->sa.sa_family, v6 ? (void *)&a->in6.sin6_addr : (void *)&a->in.sin_addr, host,
		  sizeof(host));
	printf(v6 ? " from=[%s]:%d" : " from=%s:%d", host, port_of(a));
}

static void read_answer(int fd)
{
	union address from = {};
	socklen_t len = sizeof(from);
	char bytes[4096];
	ssize_t n = recvfrom(fd, bytes, sizeof(bytes) - 1, 0, &from.sa, &len);

	if (n < 0)
		no_answer();
	if (!n && opt.stay)
		exit(PASS);
	if (!n)
		nothing("closed");
	bytes[n] = '\0';
	bytes[strcspn(bytes, "\n")] = '\0';
	fputs(bytes, stdout);
	if (!tcp)
		print_from(&from);
	say("");
}

static void send_bytes(int fd, const char *bytes, size_t size)
{
	ssize_t n;

	if (tcp)
		n = send(fd, bytes, size, MSG_NOSIGNAL);
	else
		n = sendto(fd, bytes, size, 0, &to.sa, address_len(&to));
	if (n < 0)
		no_answer();
}

static void converse(int fd)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		send_bytes(fd, line, strlen(line));
		read_answer(fd);
	}
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "from", required_argument, NULL, 'f' },
		{ "sport", required_argument, NULL, 'p' },
		{ "size", required_argument, NULL, 's' },
		{ "mark", required_argument, NULL, 'm' },
		{ "patience", required_argument, NULL, 'w' },
		{ "options", no_argument, &opt.options, 1 },
		{ "stay", no_argument, &opt.stay, 1 },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'f')
			opt.from = optarg;
		else if (c == 'p')
			opt.sport = atoi(optarg);
		else if (c == 's')
			opt.size = atoi(optarg);
		else if (c == 'm')
			opt.mark = atoi(optarg);
		else if (c == 'w')
			opt.patience = atoi(optarg);
		else if (c)
			exit(2);
	}
	if (argc - optind != 3 || opt.size > CHUNK)
		leave(2, "usage: ask [OPTION]... tcp|udp HOST PORT");
}

static int ask(int argc, char **argv)
{
	int fd;

	read_options(argc, argv);
	tcp = !strcmp(argv[optind], "tcp");
	to = address_of(argv[optind + 1], atoi(argv[optind + 2]));
	fd = open_one();
	if (!tcp)
		send_bytes(fd, stream_at(0, 0), opt.size);
	read_answer(fd);
	if (opt.stay)
		converse(fd);
	return PASS;
}

/* Runs each line in a process of its own, which may end with any status. */
static int serve(char *name)
{
	char line[256], *words[WORDS + 1] = { name };
	int count;

	while (fgets(line, sizeof(line), stdin)) {
		count = 1;
		while (count < WORDS && (words[count] = strtok(count > 1 ? NULL : line, " \n")))
			count++;
		if (!fork())
			return ask(count, words);
		wait(NULL);
	}
	return PASS;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--serve"))
		return serve(argv[0]);
	return ask(argc, argv);
}
