// SPDX-License-Identifier: GPL-2.0-only
/*
 * torture BYTES CONNECTIONS SEED [PARALLEL]: processes that talk to each other over
 * connections of every manner, until both numbers are reached. SEED decides what each
 * connection does, not when. Each byte is compared with the one that belongs at its place.
 *
 * Prints "host PID any" for a process whose readers do well under any admission, and
 * "host PID proven" for one whose readers would not under 'eager' (docs/limits.md). Prints a
 * line for each fault, "wrong" or "hung", and waits for a line after it; at the end prints
 * the sums. Environment: HANG, seconds without progress that are a hang (20); LATE, also
 * receive first and splice then (docs/limits.md).
 */
#include "torture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

struct shared *shared;
uint64_t want_bytes, want_connections, seed;
unsigned int n_slots = 40;
bool late;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- the watchdog --- */

static pid_t pids[HOSTS];

static void end_hosts(void)
{
	unsigned int i;

	for (i = 0; i < HOSTS; i++)
		if (pids[i])
			kill(pids[i], SIGKILL);
}

/* Collects hosts that have ended. Returns 1 if all have ended well, -1 if one has not, else 0. */
static int reap(void)
{
	unsigned int i;
	int status, left = 0;

	for (i = 0; i < HOSTS; i++) {
		if (pids[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
			pids[i] = 0;
			if (status)
				return -1;
		}
		left += pids[i] != 0;
	}
	return !left;
}

/* Seconds without progress that are worth a line, the first time. */
#define SLOW 3

static int watch(double limit, double *longest)
{
	static uint64_t ticks[MAX_SLOTS];
	static double since[MAX_SLOTS];
	unsigned int i;
	int state;

	while (!(state = reap()) && !shared->wrong) {
		double t = now();

		for (i = 0; i < n_slots; i++) {
			struct slot *slot = &shared->slot[i];
			uint64_t sum = slot->side[0].ticks + slot->side[1].ticks;

			if (sum != ticks[i] || !since[i] ||
			    (slot->side[0].done && slot->side[1].done)) {
				ticks[i] = sum;
				since[i] = t;
			}
			if (t - since[i] > limit) {
				print_slot(slot, "hung");
				return -1;
			}
			if (t - since[i] > *longest) {
				if (*longest <= SLOW && t - since[i] > SLOW)
					print_slot(slot, "slow");
				*longest = t - since[i];
			}
		}
		usleep(20000);
	}
	return shared->wrong ? -1 : state;
}

static void print_counts(const char *what, const char *const *names, const uint64_t *counts, int n)
{
	int i;

	printf("%s:", what);
	for (i = 0; i < n; i++)
		printf(" %s %lu", names[i], counts[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const char *const kind_names[] = { "turns", "stream", "after-eof" };
	const char *hang = getenv("HANG");
	double longest = 0;
	unsigned int i;
	int result;

	if (argc < 4)
		leave(2, "usage: torture BYTES CONNECTIONS SEED [PARALLEL]");
	want_bytes = strtoull(argv[1], NULL, 0);
	want_connections = strtoull(argv[2], NULL, 0);
	seed = strtoull(argv[3], NULL, 0);
	n_slots = argc > 4 ? atoi(argv[4]) : 40;
	if (!want_connections || !n_slots || n_slots > MAX_SLOTS)
		leave(2, "torture: bad number");
	late = getenv("LATE") && *getenv("LATE");
	stream_init();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap");
	for (i = 0; i < n_slots; i++)
		sem_init(&shared->slot[i].listening, 1, 0);
	for (i = 0; i < HOSTS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (!pids[i])
			run_host(i);
		say("host %d %s", pids[i], host_kinds[i] == FREE ? "any" : "proven");
	}
	result = watch(hang ? atoi(hang) : 20, &longest);
	if (result < 0)
		await_line();
	end_hosts();
	print_counts("kinds", kind_names, shared->kinds, 3);
	print_counts("waits", wait_names, shared->waits, WAITS);
	print_counts("reads", read_names, shared->styles, READS);
	say("sums: bytes %lu connections %lu cut %lu wrong %lu hung %d longest %.1f eagain %lu aborted %lu",
	    shared->bytes, shared->connections, shared->cuts, shared->wrong,
	    result < 0 && !shared->wrong, longest, shared->eagains, shared->aborted);
	return result == 1 ? PASS : FAIL;
}
