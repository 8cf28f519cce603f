// SPDX-License-Identifier: GPL-2.0-only
/*
 * ziti DIVERTER
 *
 * Does with services what ziti-router does (tunnel/intercept/tproxy/tproxy_linux.go of
 * openziti/ziti): makes a listener for each service and protocol, on 127.0.0.1 only and
 * with the same socket options, and calls the external diverter, with -V at the start.
 * Reads lines, and answers each with "done LINE" or "failed LINE":
 *
 *     add SERVICE tcp|udp ADDR/LEN LOW HIGH [SRC[/LEN]]
 *     del SERVICE
 *     close SERVICE     only its listener
 *
 * A client gets "local=ADDR:PORT via=SERVICE". For UDP ADDR:PORT comes from
 * IP_ORIGDSTADDR, and is the source of the answer.
 */
#include "peer.h"

#include <netinet/in.h>
#include <sys/wait.h>

#define SERVICES 64
#define WORDS 8
#define FLOWS 256

static struct service {
	char line[256];
	char *word[WORDS]; /* add, SERVICE, … */
	bool tcp;
	int fd;
	int port;
} services[SERVICES];

static int count;
static char *diverter;

static struct flow {
	struct sockaddr_in from;
	int fd;
} flows[FLOWS];

/* --- the diverter ------------------------------------------------------------------ */

static bool call(char **argv)
{
	int status;
	pid_t pid;

	argv[0] = diverter;
	pid = fork();
	if (!pid) {
		dup2(2, 1);
		execvp(diverter, argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

static char *split_prefix(char *text, char *length)
{
	char *slash = strchr(text, '/');

	if (slash)
		*slash = '\0';
	return slash ? slash + 1 : length;
}

/* getSourceAddressesAsCidrs(): an address without a length gets 32, also of IPv6. */
static bool divert(const struct service *s, bool insert)
{
	char dst[64], src[64] = "0.0.0.0/0", port[8], *dst_len, *src_len;
	char *argv[] = { NULL,
			 insert ? "-I" : "-D",
			 "-c",
			 dst,
			 "-m",
			 NULL,
			 "-p",
			 s->word[2],
			 "-o",
			 src,
			 "-n",
			 NULL,
			 "-l",
			 s->word[4],
			 "-h",
			 s->word[5],
			 insert ? "-t" : NULL,
			 port,
			 "-s",
			 s->word[1],
			 NULL };

	snprintf(dst, sizeof(dst), "%s", s->word[3]);
	if (s->word[6])
		snprintf(src, sizeof(src), "%s", s->word[6]);
	dst_len = split_prefix(dst, strchr(dst, ':') ? "128" : "32");
	src_len = split_prefix(src, "32");
	snprintf(port, sizeof(port), "%d", s->port);
	argv[5] = dst_len;
	argv[11] = src_len;
	return call(argv);
}

/* --- sockets ----------------------------------------------------------------------- */

static int new_socket(bool tcp, const struct sockaddr_in *a)
{
	/* Go tries MPTCP first, which does not know IP_RECVORIGDSTADDR, and then TCP. */
	int fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, SOL_IP, IP_TRANSPARENT, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);
	if (bind(fd, (const struct sockaddr *)a, sizeof(*a)) || (tcp && listen(fd, 128)))
		die("listen");
	return fd;
}

static const char *text_of(const struct sockaddr_in *a, char text[32])
{
	snprintf(text, 32, "%s:%d", inet_ntoa(a->sin_addr), ntohs(a->sin_port));
	return text;
}

static void greet(const struct service *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	char text[32];

	if (fd < 0)
		return;
	if (!getsockname(fd, (struct sockaddr *)&local, &len))
		dprintf(fd, "local=%s via=%s\n", text_of(&local, text), s->word[1]);
	close(fd);
}

/* getOriginalDest(): reads IP_ORIGDSTADDR. Without it the datagram is lost. */
static bool original_destination(struct msghdr *msg, struct sockaddr_in *ret)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(ret, CMSG_DATA(c), sizeof(*ret));
			return true;
		}
	return false;
}

static int reply_socket(const struct sockaddr_in *from)
{
	struct flow *f = flows;

	while (f->fd && (f->from.sin_addr.s_addr != from->sin_addr.s_addr ||
			 f->from.sin_port != from->sin_port))
		if (++f == flows + FLOWS)
			leave(FAIL, "too many flows");
	if (!f->fd)
		*f = (struct flow){ *from, new_socket(false, from) };
	return f->fd;
}

static void answer(const struct service *s)
{
	char bytes[2048], control[256], text[32];
	struct sockaddr_in client, to;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_name = &client,
		.msg_namelen = sizeof(client),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int len;

	if (recvmsg(s->fd, &msg, 0) < 0 || !original_destination(&msg, &to))
		return;
	len = snprintf(bytes, sizeof(bytes), "local=%s via=%s\n", text_of(&to, text), s->word[1]);
	sendto(reply_socket(&to), bytes, len, 0, (struct sockaddr *)&client, sizeof(client));
}

/* --- services ---------------------------------------------------------------------- */

static struct service *find(const char *name)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(services[i].word[1], name))
			return &services[i];
	return NULL;
}

static void split(char *line, char *word[WORDS])
{
	int i;

	for (i = 0; i < WORDS; i++)
		word[i] = strtok_r(i ? NULL : line, " \n", &line);
}

/* Once for each service: it has one listener here. */
static bool add(const char *line)
{
	struct service *s = &services[count];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	if (count == SERVICES)
		return false;
	snprintf(s->line, sizeof(s->line), "%s", line);
	split(s->line, s->word);
	if (!s->word[5])
		return false;
	s->tcp = !strcmp(s->word[2], "tcp");
	s->fd = new_socket(s->tcp, &a);
	if (getsockname(s->fd, (struct sockaddr *)&a, &len))
		die("getsockname");
	s->port = ntohs(a.sin_port);
	count++;
	return divert(s, true);
}

static void close_listener(struct service *s)
{
	if (s && s->fd >= 0)
		close(s->fd);
	if (s)
		s->fd = -1;
}

/* tProxy.Stop(): first its listener ends, and then its rules. */
static bool del(const char *name)
{
	struct service *s = find(name);
	bool done;

	close_listener(s);
	done = s && divert(s, false);
	if (s)
		s->word[1] = "";
	return done;
}

static bool obey(char *line)
{
	char copy[256], *word[WORDS];

	snprintf(copy, sizeof(copy), "%s", line);
	split(copy, word);
	if (!word[0] || !word[1])
		return false;
	if (!strcmp(word[0], "add"))
		return add(line);
	if (!strcmp(word[0], "del"))
		return del(word[1]);
	close_listener(find(word[1]));
	return true;
}

static void serve(void)
{
	struct pollfd p[1 + SERVICES] = { { .fd = 0, .events = POLLIN } };
	char line[256];
	int i, known = count;

	for (i = 0; i < known; i++)
		p[1 + i] = (struct pollfd){ .fd = services[i].fd, .events = POLLIN };
	if (poll(p, 1 + known, -1) < 0)
		die("poll");
	for (i = 0; i < known; i++)
		if (p[1 + i].revents && services[i].tcp)
			greet(&services[i]);
		else if (p[1 + i].revents)
			answer(&services[i]);
	if (p[0].revents && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		say("%s %s", obey(line) ? "done" : "failed", line);
	}
}

int main(int argc, char **argv)
{
	char *version[] = { NULL, "-V", NULL };

	if (argc != 2)
		leave(2, "usage: ziti DIVERTER");
	diverter = argv[1];
	setvbuf(stdin, NULL, _IONBF, 0);
	if (!call(version))
		leave(FAIL, "failed to launch external tproxy diverter");
	say("ready");
	for (;;)
		serve();
}
