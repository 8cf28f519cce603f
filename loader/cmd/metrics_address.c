// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/unix_socket.h"

#define QUEUE 16 /* connections that were not accepted yet */

static int refuse_word(const char *word)
{
	return refuse("--metrics '%s': not ADDRESS:PORT, [ADDRESS]:PORT, :PORT, or unix:PATH",
		      word);
}

/* Reads a host of that length, without a port. Empty means 127.0.0.1. */
static bool read_host(const char *host, size_t len, in_port_t port, struct metrics_address *ret)
{
	char text[INET6_ADDRSTRLEN] = "127.0.0.1";
	bool brackets = len >= 2 && host[0] == '[' && host[len - 1] == ']';

	host += brackets;
	len -= brackets * 2;
	if (len >= sizeof(text) || (brackets && !len))
		return false;
	if (len) {
		memcpy(text, host, len);
		text[len] = '\0';
	}
	if (brackets) {
		ret->size = sizeof(ret->v6);
		ret->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
		return inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1;
	}
	ret->size = sizeof(ret->v4);
	ret->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
	return inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1;
}

static int read_path(const char *word, const char *path, struct metrics_address *ret)
{
	if (*path != '/')
		return refuse("--metrics '%s': the path does not begin with '/'", word);
	if (strlen(path) >= sizeof(ret->path.sun_path))
		return refuse("--metrics '%s': the path has more than %zu bytes", word,
			      sizeof(ret->path.sun_path) - 1);
	ret->size = sizeof(ret->path);
	ret->path = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(ret->path.sun_path, path);
	return 0;
}

int metrics_address_parse(const char *word, struct metrics_address *ret)
{
	struct metrics_address a = { .word = word };
	const char *colon = strrchr(word, ':');
	unsigned int port;
	int error;

	if (*word == '/' || !strncmp(word, "unix:", 5)) {
		error = read_path(word, *word == '/' ? word : word + 5, &a);
		if (error)
			return error;
	} else {
		if (!colon)
			return refuse_word(word);
		if (!parse_number(colon + 1, 65535, &port) || !port)
			return refuse("--metrics '%s': the port is not a number from 1 to 65535",
				      word);
		if (!read_host(word, colon - word, htons(port), &a))
			return refuse_word(word);
	}
	*ret = a;
	return 0;
}

int metrics_address_listen(const struct metrics_address *a, gid_t group)
{
	_cleanup_fd_ int fd = -1;
	int on = 1;

	if (a->any.sa_family == AF_UNIX)
		return unix_socket_listen(&a->path, SOCK_STREAM, group);
	fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(-errno, "a socket for '%s'", a->word);
	/* A server that was started again must not wait for connections of the former one. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &a->any, a->size) || listen(fd, QUEUE))
		return fail(-errno, "can't listen at '%s'", a->word);
	return take_fd(&fd);
}
