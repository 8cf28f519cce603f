// SPDX-License-Identifier: GPL-2.0-only
/*
 * pulse source ADDRESS PORT RATE: sends RATE numbered datagrams a second until it is told to end.
 * pulse sink ADDRESS PORT: receives them on a transparent socket.
 *
 * Each says "ready", and ends on a line. The source says how many it has sent; the sink waits until
 * nothing has come for a second, and says how many came, how many did not, and how many came twice or
 * too late.
 */
#include "peer.h"

#include <time.h>

#define QUIET_MS 1000

static bool told_to_end(int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static void source(int fd, uint64_t rate)
{
	uint64_t start = now_us(), sent = 0, due;

	say("ready");
	while (!told_to_end(1)) {
		due = (now_us() - start) * rate / 1000000;
		for (; sent < due; sent++)
			if (send(fd, &sent, sizeof(sent), 0) != sizeof(sent) &&
			    errno != ECONNREFUSED)
				die("send");
	}
	printf("sent=%llu\n", (unsigned long long)sent);
}

static void sink(int fd)
{
	uint64_t number, next = 0, came = 0, late = 0;
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	bool ending = false;

	say("ready");
	for (;;) {
		if (!poll(p, ending ? 1 : 2, ending ? QUIET_MS : -1))
			break;
		ending |= p[1].revents != 0;
		while (recv(fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
			came++;
			late += number < next;
			if (number >= next)
				next = number + 1;
		}
	}
	printf("came=%llu lost=%llu late=%llu\n", (unsigned long long)came,
	       (unsigned long long)(next - came), (unsigned long long)late);
}

int main(int argc, char **argv)
{
	union address a;
	int fd;

	if (argc < 4)
		leave(2, "usage: pulse source ADDRESS PORT RATE | sink ADDRESS PORT");
	a = address_of(argv[2], atoi(argv[3]));
	fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (!strcmp(argv[1], "source")) {
		if (connect(fd, &a.sa, address_len(&a)))
			die("connect");
		source(fd, atol(argv[4]));
		return 0;
	}
	set_option(fd, SOL_IP, IP_TRANSPARENT, 1);
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
	if (bind(fd, &a.sa, address_len(&a)))
		die("bind");
	sink(fd);
	return 0;
}
