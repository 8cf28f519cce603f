// SPDX-License-Identifier: GPL-2.0-only
/*
 * stall SIZE BOUND [BUFFER]: a reader that stops reading. The sender writes SIZE bytes at
 * a time until the socket takes no more. The total has to be at most BOUND (the bytes that
 * may be queued past TCP) and both socket buffers. Prints "stalled"; on a line reads all
 * and compares; prints "drained"; on another line sends and reads in turn, for the fast
 * path; prints "finished".
 *
 * BUFFER sets SO_SNDBUF and SO_RCVBUF, so that 1-byte writes fill them soon.
 */
#include "peer.h"

#define SLAB_ROOM (24 << 20)
#define MESSAGES 5000000
#define TURNS 256
#define TURN 4096

static long meminfo(const char *field)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	while (file && kib < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			kib = atol(line + strlen(field));
	if (kib < 0)
		die("/proc/meminfo");
	fclose(file);
	return kib * 1024;
}

static int buffer_of(int fd, int option)
{
	int size;
	socklen_t len = sizeof(size);

	if (getsockopt(fd, SOL_SOCKET, option, &size, &len))
		die("getsockopt");
	return size;
}

/* Whether there is no room, and none will come while nobody reads. */
static bool stalled(int fd)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };

	return poll(&writable, 1, 300) == 0;
}

static uint64_t send_until_stalled(int fd, size_t size)
{
	uint64_t sent = 0;
	long messages = 0;
	ssize_t n;

	for (;;) {
		n = send(fd, stream_at(1, sent), size, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			die("send");
		if (n < 0 && stalled(fd))
			return sent;
		if (n < 0)
			continue;
		sent += n;
		if (++messages > MESSAGES || sent > 256 << 20)
			leave(FAIL, "the sender was never stopped: %lu bytes", sent);
	}
}

static void read_stream(int fd, uint64_t offset, uint64_t size)
{
	static char got[CHUNK];
	uint64_t done;
	size_t n;

	for (done = 0; done < size; done += n) {
		n = size - done < CHUNK ? size - done : CHUNK;
		if (recv_all(fd, got, n) != n)
			leave(FAIL, "the stream ended at %lu", offset + done);
		if (!stream_matches(1, offset + done, got, n))
			leave(FAIL, "wrong bytes after %lu", offset + done);
	}
}

int main(int argc, char **argv)
{
	union address address = address_of("127.0.0.1", 0);
	int listener = listen_at(&address, 1), sender, reader, i;
	size_t size = argc > 1 ? atol(argv[1]) : 0;
	uint64_t sent, limit;
	long slab;

	if (argc < 3 || !size || size > CHUNK)
		leave(2, "usage: stall SIZE BOUND [BUFFER]");
	if (argc > 3)
		set_option(listener, SOL_SOCKET, SO_RCVBUF, atoi(argv[3]));
	sender = connect_to(&address);
	if (argc > 3)
		set_option(sender, SOL_SOCKET, SO_SNDBUF, atoi(argv[3]));
	reader = accept_from(listener);
	set_nonblocking(sender, true);
	set_nonblocking(reader, true);

	slab = meminfo("SUnreclaim:");
	sent = send_until_stalled(sender, size);
	slab = meminfo("SUnreclaim:") - slab;
	limit = atol(argv[2]) + buffer_of(reader, SO_RCVBUF) + buffer_of(sender, SO_SNDBUF);
	say("stalled accepted=%lu limit=%lu slab=%ld", sent, limit, slab);
	if (sent > limit)
		leave(FAIL, "%lu bytes taken, %lu is the limit", sent, limit);
	if (size == 1 && slab > SLAB_ROOM)
		leave(FAIL, "%ld bytes of slab for %lu bytes", slab, sent);

	await_line();
	read_stream(reader, 0, sent);
	say("drained");
	await_line();
	for (i = 0; i < TURNS; i++, sent += TURN) {
		send_all(sender, stream_at(1, sent), TURN);
		read_stream(reader, sent, TURN);
	}
	say("finished");
	return PASS;
}
