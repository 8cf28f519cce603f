// SPDX-License-Identifier: GPL-2.0-only
/*
 * tproxy SHUNT [ROUNDS [SECONDS [BUDGET]]]
 *
 * Compares steering by shunt, by nftables' TPROXY and by iptables' TPROXY. A client in
 * a namespace of its own reaches a router's transparent listener in another one over
 * veth. Measures connections a second (connect, a byte each way, reset), datagrams a
 * second in 10,000 flows, and datagrams that each begin a flow: with one rule, with a
 * set of 10,000 prefixes and with 10,000 single rules. 'none' is a listener on local
 * addresses. All take turns for ROUNDS, or for as many rounds as begin within BUDGET
 * seconds. Prints samples as lib.bash has them; bench/steering shows them.
 */
#include "tproxy.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

const char *shunt;
double seconds = 0.5;
unsigned long long *received;
static int rounds = 5;

void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tproxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

void run(const char *fmt, ...)
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

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

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
	/* only datagrams that the listener got count */
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
	take_down(c);
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
	start_listeners();
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
