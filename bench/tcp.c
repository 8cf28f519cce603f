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
 * without waiting), the client on the first
 * CPU, the server on the second. -u: a Unix socket instead; -p: pipes. -n: the
 * client has so many connections, each with one request under way. -i: as many
 * other connections, idle. -l: the server's port; -d: the client's destination,
 * if somebody is between them. -N, -a: the server's namespace (a path) and
 * address; -g: a cgroup for the client alone. Measuring starts after WARM_SEC and
 * takes SEC, but one round trip or write at least.
 *
 * Each line of the output is a figure, its unit and its value:
 *
 *   p50, p99  of the times of a round trip
 *   turn      time for each, all together: with -n, and of crr
 *   cpu       of both processes, for a round trip or 10^9 bytes
 *   rate      bits
 *   written, memory  bytes; memory is TCP's and the kernel's slab
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE (1 << 20)
#define MAX_TIMES (1 << 22)
#define STALLED_MS 500

static size_t size = 64;
static double seconds = 1, warm;
static bool blocking, spinning, unix_socket, pipes;
static int connections = 1, idle, cpu[2], listen_port, dial_port;
static unsigned long max_mib = 1024;
static const char *netns, *address = "127.0.0.1", *cgroup;
static bool given; /* the address */
static int to_server[2], to_client[2];
static pid_t server;
static char buf[MAX_SIZE];
static union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
} addr;
static socklen_t addr_len;

static void __attribute__((noreturn)) die(const char *what)
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

static double now(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

static double cpu_seconds(void)
{
	clockid_t clock;

	if (clock_getcpuclockid(server, &clock))
		die("server");
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID) + seconds_of(clock);
}

static void pin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* --- one end of a connection --------------------------------------------------- */

struct end {
	int in, out; /* the same, but for pipes */
	int ep;
	size_t done; /* bytes of the message that is coming */
	double since;
};

static struct end prepare(int in, int out)
{
	int one = 1;

	if (!unix_socket && !pipes)
		setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!blocking && (fcntl(in, F_SETFL, O_NONBLOCK) || fcntl(out, F_SETFL, O_NONBLOCK)))
		die("O_NONBLOCK");
	return (struct end){ in, out, -1, 0, 0 };
}

static void watch(int ep, struct end *e)
{
	struct epoll_event in = { .events = EPOLLIN, .data.ptr = e };

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, e->in, &in))
		die("epoll");
}

/* An end that is waited for by itself. */
static struct end single(int in, int out)
{
	struct end e = prepare(in, out);

	if (!blocking && !spinning) {
		e.ep = epoll_create1(EPOLL_CLOEXEC);
		watch(e.ep, &e);
	}
	return e;
}

static void finish(const struct end *e)
{
	close(e->ep);
	close(e->in);
	if (e->out != e->in)
		close(e->out);
}

/* Reads what there is: 0 at the end, -1 if there is nothing now. */
static ssize_t take(const struct end *e, size_t room)
{
	ssize_t n = read(e->in, buf, room);

	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("read");
	return n;
}

static size_t get(const struct end *e, size_t room)
{
	struct epoll_event ev;
	ssize_t n;

	while ((n = take(e, room)) < 0)
		if (!blocking && !spinning && epoll_wait(e->ep, &ev, 1, -1) < 0 && errno != EINTR)
			die("epoll_wait");
	return n;
}

static bool get_all(const struct end *e)
{
	size_t done = 0, n;

	for (; done < size; done += n) {
		n = get(e, size - done);
		if (!n)
			return false;
	}
	return true;
}

/* false when the time is up; -1: never */
static bool writable(const struct end *e, int milliseconds)
{
	struct pollfd p = { e->out, POLLOUT, 0 };

	return poll(&p, 1, milliseconds) != 0;
}

static bool put_all(const struct end *e)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = write(e->out, buf + done, size - done);
		if (n >= 0)
			done += n;
		else if (errno == EPIPE || errno == ECONNRESET)
			return false;
		else if (errno == EAGAIN && !blocking)
			writable(e, -1);
		else if (errno != EINTR)
			die("write");
	}
	return true;
}

static int make_socket(void)
{
	int fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

/* So many connections to one address, then the next: those in TIME_WAIT would
 * leave no ports, and the kernel looks at all of them. */
#define TO_ONE_ADDRESS 8192

static int connected(void)
{
	static unsigned int made;
	int fd = make_socket();

	if (!unix_socket && !given)
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + made++ / TO_ONE_ADDRESS);
	if (connect(fd, &addr.any, addr_len))
		die("connect");
	return fd;
}

static int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

static struct end dial(void)
{
	int fd;

	if (pipes)
		return single(to_client[0], to_server[1]);
	fd = connected();
	return single(fd, fd);
}

/* --- the server ------------------------------------------------------------------ */

static void serve_one(struct end e, const char *mode)
{
	if (!strcmp(mode, "stream"))
		while (get(&e, MAX_SIZE))
			;
	else
		while (get_all(&e) && put_all(&e))
			;
	finish(&e);
}

static void answer(struct end *e)
{
	ssize_t n = take(e, size - e->done);

	if (!n)
		exit(0);
	if (n < 0 || (e->done += n) < size)
		return;
	e->done = 0;
	put_all(e);
}

static void serve_many(int listener)
{
	struct end *ends = calloc(connections, sizeof(*ends));
	int i, n, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[64];

	for (i = 0; i < connections; i++) {
		n = accepted(listener);
		ends[i] = prepare(n, n);
		watch(ep, &ends[i]);
	}
	while ((n = epoll_wait(ep, ev, 64, -1)) >= 0 || errno == EINTR)
		for (i = 0; i < n; i++)
			answer(ev[i].data.ptr);
}

static void __attribute__((noreturn)) serve(int listener, const char *mode)
{
	int i, fd;

	pin(cpu[1]);
	if (pipes) {
		close(to_server[1]);
		close(to_client[0]);
		serve_one(single(to_server[0], to_client[1]), mode);
		exit(0);
	}
	for (i = 0; i < idle; i++)
		accepted(listener);
	if (connections > 1)
		serve_many(listener);
	for (;;) {
		fd = accepted(listener);
		serve_one(single(fd, fd), mode);
	}
}

/* --- the client ------------------------------------------------------------------ */

static unsigned int *times; /* ns */
static unsigned long trips;
static double begin, from, used; /* measuring goes on since, with so much CPU time then */

static int compare(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

/* Whether measuring goes on; it starts after WARM_SEC. */
static bool going(double t)
{
	if (!from && t - begin >= warm) {
		used = cpu_seconds();
		from = now();
	}
	return !from || t - from < seconds;
}

static void start_measuring(void)
{
	times = malloc(MAX_TIMES * sizeof(*times));
	if (!times)
		die("memory");
	memset(times, 1, MAX_TIMES * sizeof(*times)); /* no page faults later */
	begin = now();
}

static void count(double since, double t)
{
	if (!from || since < from)
		return;
	if (trips < MAX_TIMES)
		times[trips] = (t - since) * 1e9;
	trips++;
}

static void report_trips(bool crr)
{
	unsigned long n = trips < MAX_TIMES ? trips : MAX_TIMES;
	double took = now() - from;

	used = cpu_seconds() - used;
	qsort(times, n, sizeof(*times), compare);
	if (connections > 1 || crr)
		printf("turn us %.3f\n", took * 1e6 / trips);
	if (connections == 1)
		printf("p50 us %.3f\n", times[n / 2] / 1e3);
	printf("p99 us %.3f\ncpu us %.3f\n", times[n * 99 / 100] / 1e3, used * 1e6 / trips);
}

static void round_trip(const struct end *e)
{
	if (!put_all(e) || !get_all(e))
		die("closed");
}

static void trips_of_one(bool reconnect)
{
	struct end e = { -1, -1, -1, 0, 0 };
	double t = now(), since;

	if (!reconnect)
		e = dial();
	while (going(t) || !trips) {
		since = t;
		if (reconnect)
			e = dial();
		round_trip(&e);
		if (reconnect)
			finish(&e);
		t = now();
		count(since, t);
	}
}

static void ask(struct end *e)
{
	e->since = now();
	if (!put_all(e))
		die("closed");
}

static double take_answer(struct end *e)
{
	ssize_t n = take(e, size - e->done);
	double t = now();

	if (!n)
		die("closed");
	if (n < 0 || (e->done += n) < size)
		return t;
	e->done = 0;
	count(e->since, t);
	ask(e);
	return t;
}

static void trips_of_many(void)
{
	struct end *ends = calloc(connections, sizeof(*ends));
	int i, n, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[64];
	double t = now();

	for (i = 0; i < connections; i++) {
		n = connected();
		ends[i] = prepare(n, n);
		watch(ep, &ends[i]);
	}
	for (i = 0; i < connections; i++)
		ask(&ends[i]);
	while (going(t) || !trips) {
		n = epoll_wait(ep, ev, 64, -1);
		for (i = 0; i < n; i++)
			t = take_answer(ev[i].data.ptr);
	}
}

static void stream(void)
{
	struct end e = dial();
	unsigned long long bytes = 0;
	double took;

	while (going(now()) || !bytes) {
		if (!put_all(&e))
			die("closed");
		if (from)
			bytes += size;
	}
	took = now() - from;
	used = cpu_seconds() - used;
	printf("rate Gbit/s %.3f\ncpu s/GB %.4f\n", bytes * 8 / took / 1e9, used * 1e9 / bytes);
}

/* --- memory ------------------------------------------------------------------------ */

/* The number in the first line of a file that matches. */
static unsigned long number(const char *path, const char *format)
{
	unsigned long n = 0;
	char line[256];
	FILE *f = fopen(path, "r");

	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, format, &n) == 1)
			break;
	fclose(f);
	return n;
}

static double kernel_memory(void)
{
	return number("/proc/net/sockstat", "TCP: inuse %*u orphan %*u tw %*u alloc %*u mem %lu") *
		       (double)sysconf(_SC_PAGESIZE) +
	       number("/proc/meminfo", "SUnreclaim: %lu") * 1024.0;
}

/* Nothing is ever read, so what is in use at the end is the peak. */
static void stall(void)
{
	unsigned long long written = 0, max = (unsigned long long)max_mib << 20;
	struct end e = dial();
	double before;
	ssize_t n;

	while (now() - begin < warm)
		round_trip(&e);
	before = kernel_memory();
	if (kill(server, SIGSTOP))
		die("server");
	while (written < max) {
		n = write(e.out, buf, size);
		if (n >= 0)
			written += n;
		else if (errno != EAGAIN || !writable(&e, STALLED_MS))
			break;
	}
	printf("written MiB %.2f\nmemory MiB %.2f\n", written / 1048576.0,
	       (kernel_memory() - before) / 1048576);
	kill(server, SIGKILL);
}

/* --- both -------------------------------------------------------------------------- */

static void make_address(void)
{
	if (unix_socket) {
		addr.un.sun_family = AF_UNIX;
		addr_len = sizeof(sa_family_t);
		return;
	}
	addr.in.sin_family = AF_INET;
	addr.in.sin_port = htons(listen_port);
	addr_len = sizeof(addr.in);
	if (inet_pton(AF_INET, address, &addr.in.sin_addr) != 1)
		die(address);
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
	if (netns)
		enter(netns);
	if (!unix_socket && !given)
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

/* In the namespace that this process began in. */
static int listen_elsewhere(void)
{
	int fd, home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	fd = listen_somewhere();
	if (home < 0 || (netns && setns(home, CLONE_NEWNET)))
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
			size = strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = atof(optarg);
			break;
		case 'w':
			warm = atof(optarg);
			break;
		case 'b':
			blocking = true;
			break;
		case 'y':
			spinning = true;
			break;
		case 'u':
			unix_socket = true;
			break;
		case 'p':
			pipes = true;
			break;
		case 'n':
			connections = atoi(optarg);
			break;
		case 'i':
			idle = atoi(optarg);
			break;
		case 'm':
			max_mib = strtoul(optarg, NULL, 10);
			break;
		case 'l':
			listen_port = atoi(optarg);
			break;
		case 'd':
			dial_port = atoi(optarg);
			break;
		case 'N':
			netns = optarg;
			break;
		case 'a':
			address = optarg, given = true;
			break;
		case 'g':
			cgroup = optarg;
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &cpu[0], &cpu[1]) == 1)
				cpu[1] = cpu[0];
			break;
		default:
			return false;
		}
	}
	return optind == argc && size && size <= MAX_SIZE && connections >= 1 && idle >= 0;
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
	if (!pipes)
		listener = listen_elsewhere();
	else if (pipe2(to_server, O_CLOEXEC) || pipe2(to_client, O_CLOEXEC))
		die("pipe");
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener, mode);
	}
	pin(cpu[0]);
	if (cgroup)
		join(cgroup);
	if (dial_port)
		addr.in.sin_port = htons(dial_port);
	for (i = 0; i < idle; i++)
		connected();
	start_measuring();
	if (!strcmp(mode, "stream")) {
		stream();
	} else if (!strcmp(mode, "stall")) {
		stall();
	} else {
		bool crr = !strcmp(mode, "crr");

		if (connections > 1)
			trips_of_many();
		else
			trips_of_one(crr);
		report_trips(crr);
	}
	return 0;
}
