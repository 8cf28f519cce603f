// SPDX-License-Identifier: GPL-2.0-only
/* urgent: a byte sent with MSG_OOB between others arrives as urgent data. */
#include "peer.h"

static void expect(int fd, int flags, const char *text)
{
	char got[16] = "";
	ssize_t n;

	until((n = recv(fd, got, sizeof(got) - 1, flags | MSG_DONTWAIT)) > 0);
	if (strcmp(got, text))
		leave(FAIL, "'%s' came where '%s' was due", got, text);
}

int main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), a = socket(AF_INET, SOCK_STREAM, 0), b;
	socklen_t len = sizeof(addr);
	struct pollfd p = { .events = POLLPRI };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || connect(a, (void *)&addr, len))
		die("connect");
	b = accept(listener, NULL, NULL);
	if (send(a, "before", 6, 0) != 6)
		die("send");
	expect(b, 0, "before");
	if (send(a, "!", 1, MSG_OOB) != 1)
		die("send");
	p.fd = b;
	if (poll(&p, 1, PATIENCE) != 1)
		leave(FAIL, "no urgent data");
	expect(b, MSG_OOB, "!");
	if (send(a, "after", 5, 0) != 5)
		die("send");
	expect(b, 0, "after");
	return PASS;
}
