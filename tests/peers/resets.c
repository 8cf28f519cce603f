// SPDX-License-Identifier: GPL-2.0-only
/*
 * resets PORT FILE
 *
 * Takes one connection to PORT of 127.0.0.1, sends FILE and then a reset: the other end
 * reads the bytes, then ECONNRESET once, then end of file.
 */
#include "peer.h"

int main(int argc, char **argv)
{
	const struct linger at_once = { .l_onoff = 1 };
	union address a;
	char bytes[4096];
	int one = 1, fd, conn, file;
	ssize_t n;

	if (argc != 3)
		leave(2, "usage: resets PORT FILE");
	a = address_of("127.0.0.1", atoi(argv[1]));
	file = open(argv[2], O_RDONLY);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (file < 0 || fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, &a.sa, address_len(&a)) || listen(fd, 1))
		die(argv[2]);
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		die("accept");
	n = read(file, bytes, sizeof(bytes));
	if (n < 0 || write(conn, bytes, n) != n)
		die("write");
	setsockopt(conn, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return PASS;
}
