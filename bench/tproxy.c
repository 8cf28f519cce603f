// SPDX-License-Identifier: GPL-2.0-only
/*
 * tproxy SHUNT [ROUNDS [SECONDS [BUDGET]]]
 *
 * Steering by shunt, by nftables' TPROXY and by that of iptables, side by side: a
 * client in a namespace of its own reaches a router's transparent listener in
 * another over veth. Connections a second (connect, a byte each way, reset),
 * datagrams a second in 10,000 flows, and datagrams that all begin a flow, with
 * one rule, with a set of 10,000 prefixes and with 10,000 single rules; 'none' is
 * a listener on local addresses. All take turns, in ROUNDS or as many as begin
 * within BUDGET seconds. Prints samples as lib.bash has them; bench/steering shows
 * them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 443
#define LISTENER 9999
#define MANY 10000

static const char *shunt;
static double seconds = 0.5;
static int rounds = 5;
static unsigned long long state = 1;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tproxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command)) {
		fprintf(stderr, "tproxy: failed: %s\n", command);
		exit(1);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* --- the client ---------------------------------------------------------------- */

enum kind { CONNECTIONS, DATAGRAMS, NEW_FLOWS, KINDS };

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

/* What is sent has gone all the way to the listener's socket when the call
 * ends: the same CPU does it. */
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

static void client(int orders, int answers)
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

/* --- the router ------------------------------------------------------------------ */

/* A transparent one, unless it is on the addresses themselves. */
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

static unsigned long long *received;

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

/* --- the contenders ---------------------------------------------------------------- */

#define HEAD "table ip bench {\n"
#define CHAIN "chain steer { type filter hook prerouting priority mangle;\n"
#define KNOWN "meta l4proto tcp socket transparent 1 meta mark set 1 accept\n"
#define TPROXY "tproxy to 127.0.0.1:9999 meta mark set 1 accept\n"

static void nft_one(FILE *f, int count)
{
	(void)count;
	fprintf(f, HEAD CHAIN KNOWN "ip daddr 10.0.0.0/8 tcp dport 443 " TPROXY
				    "ip daddr 10.0.0.0/8 udp dport 443 " TPROXY "}\n}\n");
}

static void nft_set(FILE *f, int count)
{
	int i;

	fprintf(f, HEAD "set to { type ipv4_addr; flags interval; elements = {");
	for (i = 0; i < count; i++)
		fprintf(f, "%s10.%d.%d.0/24", i ? "," : "", i / 256, i % 256);
	fprintf(f, "} }\n" CHAIN KNOWN "ip daddr @to tcp dport 443 " TPROXY
		   "ip daddr @to udp dport 443 " TPROXY "}\n}\n");
}

/* Each protocol has a chain, so that a packet meets only so many rules. */
static void nft_chains(FILE *f, int count, const char *known)
{
	int i, udp;

	fprintf(f, HEAD);
	for (udp = 0; udp < 2; udp++) {
		fprintf(f, "chain %s {\n", udp ? "u" : "t");
		for (i = 0; i < count; i++)
			fprintf(f, "ip daddr 10.%d.%d.0/24 %s dport 443 " TPROXY, i / 256, i % 256,
				udp ? "udp" : "tcp");
		fprintf(f, "}\n");
	}
	fprintf(f, CHAIN "%s", known);
	fprintf(f, "meta l4proto vmap { tcp : jump t, udp : jump u }\n}\n}\n");
}

static void nft_rules(FILE *f, int count)
{
	nft_chains(f, count, KNOWN);
}

/* As ziti-router makes them: established connections meet them too. */
static void nft_rules_only(FILE *f, int count)
{
	nft_chains(f, count, "");
}

static void shunt_rules(FILE *f, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		char prefix[64] = "10.0.0.0/8";

		if (count > 1)
			snprintf(prefix, sizeof(prefix), "10.%d.%d.0/24", i / 256, i % 256);
		fprintf(f, "tcp dst %s dport 443 to 127.0.0.1:9999\n", prefix);
		fprintf(f, "udp dst %s dport 443 to 127.0.0.1:9999\n", prefix);
	}
}

/* A chain of its own for each protocol, as nft_chains(). */
static void ipt_rules(FILE *f, int count)
{
	static const char *const protos[] = { "tcp", "udp" };
	int i, p;

	fprintf(f,
		"*mangle\n:T -\n:U -\n:KNOWN -\n-A KNOWN -j MARK --set-mark 1\n-A KNOWN -j ACCEPT\n"
		"-A PREROUTING -p tcp -m socket --transparent -j KNOWN\n"
		"-A PREROUTING -p tcp -j T\n-A PREROUTING -p udp -j U\n");
	for (p = 0; p < 2; p++)
		for (i = 0; i < count; i++)
			fprintf(f,
				"-A %c -d 10.%d.%d.0/%d -p %s --dport 443 -j TPROXY "
				"--on-ip 127.0.0.1 --on-port 9999 --tproxy-mark 1\n",
				p ? 'U' : 'T', i / 256, i % 256, count > 1 ? 24 : 8, protos[p]);
	fprintf(f, "COMMIT\n");
}

static void shunt_on(const char *path)
{
	run("%s load --iface w1 2>/dev/null && %s apply %s 2>/dev/null", shunt, shunt, path);
}

static void shunt_off(void)
{
	run("%s unload 2>/dev/null", shunt);
}

static void route_marked(void)
{
	run("ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100");
}

static void route_as_before(void)
{
	run("ip route flush table 100 && ip rule del fwmark 1 lookup 100");
}

static void nft_on(const char *path)
{
	route_marked();
	run("nft -f %s", path);
}

static void nft_off(void)
{
	run("nft delete table ip bench");
	route_as_before();
}

static void ipt_on(const char *path)
{
	route_marked();
	run("iptables-restore <%s", path);
}

static void ipt_off(void)
{
	run("iptables -t mangle -F; iptables -t mangle -X");
	route_as_before();
}

static void local_on(const char *path)
{
	(void)path;
	run("ip route add local 10.0.0.0/8 dev lo");
}

static void local_off(void)
{
	run("ip route del local 10.0.0.0/8 dev lo");
}

static void no_rules(FILE *f, int count)
{
	(void)f;
	(void)count;
}

static const struct way {
	void (*on)(const char *path);
	void (*off)(void);
} none = { local_on, local_off }, nftables = { nft_on, nft_off }, iptables = { ipt_on, ipt_off },
  shunts = { shunt_on, shunt_off };

static const struct contender {
	const char *workload;
	const char *name;
	int count;
	void (*write_rules)(FILE *f, int count);
	const struct way *way;
} contenders[] = {
	{ "1 rule", "nftables", 1, nft_one, &nftables },
	{ "1 rule", "none", 0, no_rules, &none },
	{ "1 rule", "iptables", 1, ipt_rules, &iptables },
	{ "1 rule", "shunt", 1, shunt_rules, &shunts },
	{ "10000 rules", "nftables", MANY, nft_rules, &nftables },
	{ "10000 rules", "nft. set", MANY, nft_set, &nftables },
	{ "10000 rules", "nft. bare", MANY, nft_rules_only, &nftables },
	{ "10000 rules", "iptables", MANY, ipt_rules, &iptables },
	{ "10000 rules", "shunt", MANY, shunt_rules, &shunts },
};

#define CONTENDERS (sizeof(contenders) / sizeof(*contenders))

static bool works(const struct contender *c)
{
	return c->way != &iptables ||
	       !system("command -v iptables-restore >/dev/null && "
		       "iptables -t mangle -A PREROUTING -p tcp -m socket --transparent -j TPROXY "
		       "--on-port 1 2>/dev/null && iptables -t mangle -F");
}

static void set_up(const struct contender *c)
{
	char path[] = "/tmp/bench-tproxy.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		die(path);
	c->write_rules(f, c->count);
	fclose(f);
	c->way->on(path);
	unlink(path);
}

/* --- all together ------------------------------------------------------------------ */

static int orders, answers;
static pid_t child;

static void make_place(void)
{
	int to[2], from[2];
	char byte;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) || pipe(to) || pipe(from))
		die("namespace");
	child = fork();
	if (!child)
		client(to[0], from[1]);
	orders = to[1];
	answers = from[0];
	if (read(answers, &byte, 1) != 1)
		die("client");
	run("ip link set lo up; ip link add w1 type veth peer name w0 netns %d", child);
	run("ip addr add 198.18.0.1/24 dev w1; ip link set w1 up");
	run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.w1.rp_filter=0");
	run("nsenter -n -t %d sh -c 'ip addr add 198.18.0.2/24 dev w0; ip link set w0 up; "
	    "ip link set lo up; ip route add default via 198.18.0.1'",
	    child);
}

static double measure(enum kind kind)
{
	unsigned long long before = *received;
	double rate;

	if (write(orders, &kind, sizeof(kind)) != sizeof(kind) ||
	    read(answers, &rate, sizeof(rate)) != sizeof(rate))
		die("client");
	usleep(20000);
	/* what the listener did not get does not count */
	return kind == CONNECTIONS ? rate : (*received - before) / seconds;
}

static void measure_all(const struct contender *c, int round)
{
	static const char *const kinds[] = { "connections", "datagrams", "new flows" };
	enum kind kind;

	set_up(c);
	for (kind = 0; kind < KINDS; kind++)
		printf("0,1\t%s\t%s\t1/s\t%s\t%d\t%.0f\n", c->workload, kinds[kind], c->name, round,
		       measure(kind));
	fflush(stdout);
	c->way->off();
}

int main(int argc, char **argv)
{
	double begin = now(), budget = argc > 4 ? atof(argv[4]) : 1e9;
	bool skip[CONTENDERS];
	size_t i;
	int r;

	if (argc < 2) {
		fprintf(stderr, "usage: tproxy SHUNT [ROUNDS [SECONDS [BUDGET]]]\n");
		return 2;
	}
	shunt = argv[1];
	rounds = argc > 2 ? atoi(argv[2]) : rounds;
	seconds = argc > 3 ? atof(argv[3]) : seconds;
	received = mmap(NULL, sizeof(*received), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (received == MAP_FAILED)
		die("memory");
	make_place();
	spawn(serve_tcp, listener(SOCK_STREAM, INADDR_LOOPBACK, LISTENER));
	spawn(serve_udp, listener(SOCK_DGRAM, INADDR_LOOPBACK, LISTENER));
	spawn(serve_tcp, listener(SOCK_STREAM, INADDR_ANY, PORT));
	spawn(serve_udp, listener(SOCK_DGRAM, INADDR_ANY, PORT));
	for (i = 0; i < CONTENDERS; i++) {
		skip[i] = !works(&contenders[i]);
		if (skip[i])
			fprintf(stderr, "tproxy: %s does not work here: left out\n",
				contenders[i].name);
	}
	for (r = 0; r < rounds && (now() - begin) * (r + 1) / (r ? r : 1) < budget; r++)
		for (i = 0; i < CONTENDERS; i++)
			if (!skip[i])
				measure_all(&contenders[i], r);
	kill(child, SIGTERM);
	return 0;
}
