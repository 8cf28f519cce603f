// SPDX-License-Identifier: GPL-2.0-only
/*
 * batches COUNT SIZE PAUSE_MS
 *
 * Request and response between two non-blocking sockets of this process, until a line
 * comes on stdin; prints "hot" at the start. Then COUNT batches: each has SIZE bytes more
 * than the one before, so its last part goes by TCP. The server reads after PAUSE_MS, as
 * if it had to wait for a CPU, compares, and answers with 64 bytes. Prints
 * "done us=MICROSECONDS", the time of the batches without the pauses, and ends at the next
 * line.
 */
#include "turns.h"

#include <time.h>

#define SEED 7

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static void send_batch(uint64_t offset, size_t size)
{
	size_t done, n;

	for (done = 0; done < size; done += n) {
		n = size - done < CHUNK ? size - done : CHUNK;
		send_all(client, stream_at(SEED, offset + done), n);
	}
}

static void receive_batch(uint64_t offset, size_t size)
{
	static char got[CHUNK];
	size_t done, n;

	for (done = 0; done < size; done += n) {
		n = size - done < CHUNK ? size - done : CHUNK;
		if (recv_all(server, got, n) != n || !stream_matches(SEED, offset + done, got, n))
			leave(FAIL, "wrong bytes after %lu", offset + done);
	}
}

int main(int argc, char **argv)
{
	unsigned long count, step, pause, i;
	uint64_t offset = 0, sum = 0, start;
	size_t size;

	if (argc != 4)
		leave(2, "usage: batches COUNT SIZE PAUSE_MS");
	count = strtoul(argv[1], NULL, 10);
	step = strtoul(argv[2], NULL, 10);
	pause = strtoul(argv[3], NULL, 10);
	connect_pair();
	heat_up();
	for (i = 1; i <= count; i++, offset += size) {
		size = i * step;
		start = now_us();
		send_batch(offset, size);
		sum += now_us() - start;
		poll(NULL, 0, pause);
		start = now_us();
		receive_batch(offset, size);
		send_one_way(server, client);
		sum += now_us() - start;
	}
	say("done us=%lu", sum);
	await_line();
	return PASS;
}
