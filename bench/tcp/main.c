// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp: figures for TCP between two processes on this host.
 *
 * usage: tcp rr|stream|crr|stall [-s BYTES] [-t SEC] [-w WARM_SEC] [-c CPU[,CPU]]
 *            [-b] [-y] [-u] [-p] [-n CONNECTIONS] [-i IDLE] [-m MAX_MIB]
 *            [-l PORT] [-d PORT] [-N NETNS] [-a ADDRESS] [-g CGROUP]
 *
 *   rr      request and response of BYTES
 *   stream  writes of BYTES one way
 *   crr     connect, one request and response, close
 *   stall   round trips; then the server is stopped, and the client writes until
 *           nothing goes on for half a second, or MAX_MIB are written
 *
 * Both ends are non-blocking with epoll (-b: blocking; -y: they read again and again
 * without waiting). The client runs on the first CPU, the server on the second.
 *
 *   -u      a Unix socket instead of TCP; -p: pipes
 *   -n      the client's connections, each with one request under way
 *   -i      further connections, which are idle
 *   -l      the server's port; -d: the client's destination port, if a proxy is between
 *   -N, -a  the server's namespace (a path) and address
 *   -g      a cgroup for the client alone
 *
 * Measuring starts after WARM_SEC and takes SEC, but at least one round trip or write.
 *
 * Each line of the output is a figure, its unit and its value:
 *
 *   p50, p99  of the times of a round trip
 *   turn      time for each, all together: with -n, and of crr
 *   cpu       of both processes, for a round trip or 10^9 bytes
 *   rate      bits
 *   written, memory  bytes; memory is TCP's and the kernel's slab
 */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct options opt = {
	.size = 64,
	.seconds = 1,
	.connections = 1,
	.max_mib = 1024,
	.address = "127.0.0.1",
};
int to_server[2], to_client[2];
pid_t server;
char buf[MAX_SIZE];
union listen_address addr;
socklen_t addr_len;

void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tcp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

double now(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

double cpu_seconds(void)
{
	clockid_t clock;

	if (clock_getcpuclockid(server, &clock))
		die("server");
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID) + seconds_of(clock);
}

void pin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void make_address(void)
{
	if (opt.unix_socket) {
		addr.un.sun_family = AF_UNIX;
		addr_len = sizeof(sa_family_t);
		return;
	}
	addr.in.sin_family = AF_INET;
	addr.in.sin_port = htons(opt.listen_port);
	addr_len = sizeof(addr.in);
	if (inet_pton(AF_INET, opt.address, &addr.in.sin_addr) != 1)
		die(opt.address);
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static int listen_somewhere(void)
{
	int fd, one = 1;

	make_address();
	if (opt.netns)
		enter(opt.netns);
	if (!opt.unix_socket && !opt.given)
		addr.in.sin_addr.s_addr = htonl(INADDR_ANY);
	fd = make_socket();
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &addr.any, addr_len) || listen(fd, 4096))
		die("listen");
	addr_len = sizeof(addr);
	if (getsockname(fd, &addr.any, &addr_len))
		die("getsockname");
	return fd;
}

/* Listens in the namespace -N, and returns to the namespace that this process began in. */
static int listen_elsewhere(void)
{
	int fd, home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	fd = listen_somewhere();
	if (home < 0 || (opt.netns && setns(home, CLONE_NEWNET)))
		die("namespace");
	close(home);
	return fd;
}

static void join(const char *path)
{
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s/cgroup.procs", path);
	f = fopen(name, "w");
	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f))
		die(name);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: tcp rr|stream|crr|stall [-s BYTES] [-t SEC] [-w WARM_SEC] "
		"[-c CPU[,CPU]]\n           [-b] [-y] [-u] [-p] [-n CONNECTIONS] [-i IDLE] [-m MAX_MIB]\n"
		"           [-l PORT] [-d PORT] [-N NETNS] [-a ADDRESS] [-g CGROUP]\n");
	return 2;
}

static bool parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:t:w:c:byupn:i:m:l:d:N:a:g:")) != -1) {
		switch (c) {
		case 's':
			opt.size = strtoul(optarg, NULL, 10);
			break;
		case 't':
			opt.seconds = atof(optarg);
			break;
		case 'w':
			opt.warm = atof(optarg);
			break;
		case 'b':
			opt.blocking = true;
			break;
		case 'y':
			opt.spinning = true;
			break;
		case 'u':
			opt.unix_socket = true;
			break;
		case 'p':
			opt.pipes = true;
			break;
		case 'n':
			opt.connections = atoi(optarg);
			break;
		case 'i':
			opt.idle = atoi(optarg);
			break;
		case 'm':
			opt.max_mib = strtoul(optarg, NULL, 10);
			break;
		case 'l':
			opt.listen_port = atoi(optarg);
			break;
		case 'd':
			opt.dial_port = atoi(optarg);
			break;
		case 'N':
			opt.netns = optarg;
			break;
		case 'a':
			opt.address = optarg, opt.given = true;
			break;
		case 'g':
			opt.cgroup = optarg;
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &opt.cpu[0], &opt.cpu[1]) == 1)
				opt.cpu[1] = opt.cpu[0];
			break;
		default:
			return false;
		}
	}
	return optind == argc && opt.size && opt.size <= MAX_SIZE && opt.connections >= 1 &&
	       opt.idle >= 0;
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "rr", "stream", "crr", "stall" };
	struct rlimit files = { 65536, 65536 };
	const char *mode = argc > 1 ? argv[1] : "";
	int i, listener = -1, known = 0;

	for (i = 0; i < 4; i++)
		known |= !strcmp(mode, modes[i]);
	if (!known || !parse(argc - 1, argv + 1))
		return usage();
	memset(buf, 1, sizeof(buf)); /* not the page of zeros */
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	if (!opt.pipes)
		listener = listen_elsewhere();
	else if (pipe2(to_server, O_CLOEXEC) || pipe2(to_client, O_CLOEXEC))
		die("pipe");
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener, mode);
	}
	pin(opt.cpu[0]);
	if (opt.cgroup)
		join(opt.cgroup);
	if (opt.dial_port)
		addr.in.sin_port = htons(opt.dial_port);
	for (i = 0; i < opt.idle; i++)
		connected();
	if (!strcmp(mode, "stream"))
		measure_stream();
	else if (!strcmp(mode, "stall"))
		measure_stall();
	else
		measure_trips(!strcmp(mode, "crr"));
	return 0;
}
