// SPDX-License-Identifier: GPL-2.0-only
/*
 * ports ADDRESS PORT FIRST COUNT
 *
 * Sends a datagram to ADDRESS from each of COUNT ports, from FIRST on.
 */
#include "peer.h"

static void send_from(int port, const union address *to)
{
	union address from = { .sa.sa_family = to->sa.sa_family };
	int fd = socket(to->sa.sa_family, SOCK_DGRAM, 0);

	from.in.sin_port = htons(port); /* where IPv6 has it, too */
	if (fd < 0 || bind(fd, &from.sa, address_len(&from)) ||
	    connect(fd, &to->sa, address_len(to)))
		die("socket");
	/* what NAT drops is reported here */
	if (send(fd, "x", 1, 0) < 0 && errno != EPERM && errno != ENOBUFS && errno != ECONNREFUSED)
		die("send");
	close(fd);
}

int main(int argc, char **argv)
{
	union address to;
	int i;

	if (argc < 5)
		leave(2, "usage: ports ADDRESS PORT FIRST COUNT");
	to = address_of(argv[1], atoi(argv[2]));
	for (i = 0; i < atoi(argv[4]); i++)
		send_from(atoi(argv[3]) + i, &to);
	return PASS;
}
