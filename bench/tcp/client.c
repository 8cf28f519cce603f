// SPDX-License-Identifier: GPL-2.0-only
/* The process that asks and measures. */
#include "tcp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_TIMES (1 << 22)
#define STALLED_MS 500

static unsigned int *times; /* ns */
static unsigned long trips;
static double begin; /* of the warm-up */
static double from;  /* of measuring */
static double used;  /* CPU time, until then */

static int compare(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

/* Whether measuring goes on; it starts after WARM_SEC. */
static bool going(double t)
{
	if (!from && t - begin >= opt.warm) {
		used = cpu_seconds();
		from = now();
	}
	return !from || t - from < opt.seconds;
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
	if (opt.connections > 1 || crr)
		printf("turn us %.3f\n", took * 1e6 / trips);
	if (opt.connections == 1)
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
	ssize_t n = take(e, opt.size - e->done);
	double t = now();

	if (!n)
		die("closed");
	if (n < 0 || (e->done += n) < opt.size)
		return t;
	e->done = 0;
	count(e->since, t);
	ask(e);
	return t;
}

static void trips_of_many(void)
{
	struct end *ends = calloc(opt.connections, sizeof(*ends));
	int i, n, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[64];
	double t = now();

	for (i = 0; i < opt.connections; i++) {
		n = connected();
		ends[i] = prepare(n, n);
		watch(ep, &ends[i]);
	}
	for (i = 0; i < opt.connections; i++)
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
			bytes += opt.size;
	}
	took = now() - from;
	used = cpu_seconds() - used;
	printf("rate Gbit/s %.3f\ncpu s/GB %.4f\n", bytes * 8 / took / 1e9, used * 1e9 / bytes);
}

/* Reads the number in the first line of a file that matches the format. */
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

/* The server never reads again, so the memory in use at the end is the peak. */
static void stall(void)
{
	unsigned long long written = 0, max = (unsigned long long)opt.max_mib << 20;
	struct end e = dial();
	double before;
	ssize_t n;

	while (now() - begin < opt.warm)
		round_trip(&e);
	before = kernel_memory();
	if (kill(server, SIGSTOP))
		die("server");
	while (written < max) {
		n = write(e.out, buf, opt.size);
		if (n >= 0)
			written += n;
		else if (errno != EAGAIN || !writable(&e, STALLED_MS))
			break;
	}
	printf("written MiB %.2f\nmemory MiB %.2f\n", written / 1048576.0,
	       (kernel_memory() - before) / 1048576);
	kill(server, SIGKILL);
}

/* --- the modes ----------------------------------------------------------------- */

void measure_trips(bool crr)
{
	start_measuring();
	if (opt.connections > 1)
		trips_of_many();
	else
		trips_of_one(crr);
	report_trips(crr);
}

void measure_stream(void)
{
	start_measuring();
	stream();
}

void measure_stall(void)
{
	start_measuring();
	stall();
}
