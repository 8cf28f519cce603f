// SPDX-License-Identifier: GPL-2.0-only
/*
 * many PAIRS [BUFFER]: opens that many connections to itself, with socket
 * buffers of BUFFER bytes, says "open", and does what the lines of its input
 * say until that ends:
 *
 *   hot         the ends of each connection take turns, some connections at a
 *               time, until the next line; prints "round" after each round of all
 *   touch TURNS the ends of each connection take TURNS turns, one connection after
 *               the other; prints "touched"
 *   stall SIZE  one end of each sends SIZE bytes at a time until no socket takes
 *               more; prints "stalled accepted=BYTES"
 *   drain       the other ends read all bytes and compare; prints "drained"
 */
#include "peer.h"

#include <sys/resource.h>
#include <time.h>

#define MAX_PAIRS 9000
#define BATCH 10
#define BATCH_MS 200
#define TURN 64

static struct pair {
	int sender, reader;
	uint64_t sent, received;
} pairs[MAX_PAIRS];
static int n_pairs;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void open_pairs(int buffer)
{
	union address address = address_of("127.0.0.1", 0);
	int listener = listen_at(&address, 1), i;

	if (buffer)
		set_option(listener, SOL_SOCKET, SO_RCVBUF, buffer);
	for (i = 0; i < n_pairs; i++) {
		pairs[i].sender = connect_to(&address);
		pairs[i].reader = accept_from(listener);
		if (buffer)
			set_option(pairs[i].sender, SOL_SOCKET, SO_SNDBUF, buffer);
		set_nonblocking(pairs[i].sender, true);
		set_nonblocking(pairs[i].reader, true);
	}
	close(listener);
}

static void receive(struct pair *p, size_t size)
{
	static char got[CHUNK];
	size_t n;

	for (; size; size -= n, p->received += n) {
		n = size < CHUNK ? size : CHUNK;
		if (recv_all(p->reader, got, n) != n)
			leave(FAIL, "a stream ended at %lu", p->received);
		if (!stream_matches(p - pairs, p->received, got, n))
			leave(FAIL, "wrong bytes after %lu", p->received);
	}
}

static void take_turn(struct pair *p)
{
	char answer[TURN] = "";

	send_all(p->sender, stream_at(p - pairs, p->sent), TURN);
	p->sent += TURN;
	receive(p, TURN);
	send_all(p->reader, answer, TURN);
	if (recv_all(p->sender, answer, TURN) != TURN)
		leave(FAIL, "an answer ended");
}

static bool line_waits(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) == 1;
}

static void keep_hot(void)
{
	int first, i;
	long end;

	while (!line_waits()) {
		for (first = 0; first < n_pairs && !line_waits(); first += BATCH)
			for (end = now_ms() + BATCH_MS; now_ms() < end;)
				for (i = first; i < first + BATCH && i < n_pairs; i++)
					take_turn(&pairs[i]);
		say("round");
	}
}

static void touch(int turns)
{
	int i, turn;

	for (i = 0; i < n_pairs; i++)
		for (turn = 0; turn < turns; turn++)
			take_turn(&pairs[i]);
	say("touched");
}

/* Whether one of the sockets has taken bytes. */
static bool send_to_all(size_t size)
{
	bool taken = false;
	ssize_t n;
	int i;

	for (i = 0; i < n_pairs; i++)
		while ((n = send(pairs[i].sender, stream_at(i, pairs[i].sent), size,
				 MSG_NOSIGNAL)) > 0) {
			pairs[i].sent += n;
			taken = true;
		}
	return taken;
}

static void stall(size_t size)
{
	uint64_t sum = 0;
	int quiet, i;

	if (!size || size > CHUNK)
		leave(2, "stall: bad size");
	for (quiet = 0; quiet < 10; quiet++) {
		if (send_to_all(size))
			quiet = 0;
		poll(NULL, 0, 30);
	}
	for (i = 0; i < n_pairs; i++)
		sum += pairs[i].sent - pairs[i].received;
	say("stalled accepted=%lu", sum);
}

/* Reads what has arrived. Returns the number of bytes. */
static size_t receive_ready(struct pair *p)
{
	static char got[CHUNK];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(p->reader, got, sizeof(got), 0)) > 0) {
		if (!stream_matches(p - pairs, p->received, got, n))
			leave(FAIL, "wrong bytes after %lu", p->received);
		p->received += n;
		sum += n;
	}
	if (n == 0 || errno != EAGAIN)
		leave(FAIL, "a stream ended at %lu", p->received);
	return sum;
}

/* Reads all connections in turn: on each one TCP's timers may delay the next bytes. */
static void drain(void)
{
	uint64_t left = 0;
	int i;

	for (i = 0; i < n_pairs; i++)
		left += pairs[i].sent - pairs[i].received;
	for (; left; poll(NULL, 0, 1))
		for (i = 0; i < n_pairs; i++)
			if (pairs[i].received < pairs[i].sent)
				left -= receive_ready(&pairs[i]);
	say("drained");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	char line[64];
	ssize_t n;

	n_pairs = argc > 1 ? atoi(argv[1]) : 0;
	if (n_pairs < 1 || n_pairs > MAX_PAIRS)
		leave(2, "usage: many PAIRS [BUFFER]");
	if (getrlimit(RLIMIT_NOFILE, &files))
		die("RLIMIT_NOFILE");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("RLIMIT_NOFILE");
	open_pairs(argc > 2 ? atoi(argv[2]) : 0);
	say("open");
	/* one line at a time, so that poll() sees the next one */
	while ((n = read(0, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		if (!strncmp(line, "hot", 3))
			keep_hot();
		else if (!strncmp(line, "touch ", 6))
			touch(atoi(line + 6));
		else if (!strncmp(line, "stall ", 6))
			stall(atol(line + 6));
		else if (!strncmp(line, "drain", 5))
			drain();
	}
	return PASS;
}
