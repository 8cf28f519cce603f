// SPDX-License-Identifier: GPL-2.0-only
/*
 * reconnect: a client does not read the bytes of its server, disconnects by
 * connect(AF_UNSPEC), and connects to another server. It has to get the bytes of the
 * second server and no others.
 */
#include "peer.h"

static int listening(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*addr);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET };
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (void *)addr, len) || listen(fd, 1) || getsockname(fd, (void *)addr, &len))
		die("listen");
	return fd;
}

static int served(int client, int listener, const struct sockaddr_in *addr, const char *text)
{
	int fd;

	if (connect(client, (const void *)addr, sizeof(*addr)))
		die("connect");
	fd = accept(listener, NULL, NULL);
	if (send(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		die("send");
	return fd;
}

int main(void)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct sockaddr_in first, second;
	int one = listening(&first), two = listening(&second);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	char got[16] = "";
	ssize_t n;

	served(client, one, &first, "old");
	if (connect(client, &nowhere, sizeof(nowhere)))
		die("disconnect");
	served(client, two, &second, "new");
	until((n = recv(client, got, sizeof(got) - 1, MSG_DONTWAIT)) > 0);
	if (strcmp(got, "new"))
		leave(FAIL, "'%s' came from the first server", got);
	return PASS;
}
