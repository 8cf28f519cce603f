// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/rule_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cmd/kept_rules.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/run_dir.h"

/* How long a supervisor that is being restarted may be away. */
#define CONNECT_MS 2000
#define RETRY_MS 20
/* A command may wait for another one that holds the lock. */
#define ANSWER_SEC 90

int rule_socket_address(struct sockaddr_un *ret)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (run_dir_path(a.sun_path, sizeof(a.sun_path), ""))
		return deny(-ENAMETOOLONG, "'%s': the path is too long for the name of a socket",
			    opt.pin_dir);
	*ret = a;
	return 0;
}

/* Root in a container has neither the bpf file system nor the maps, but may have the socket. */
bool must_ask(void)
{
	struct sockaddr_un a;

	if (serves_call())
		return false;
	if (geteuid())
		return true;
	if (!access(opt.pin_dir, F_OK) || rule_socket_address(&a))
		return false;
	return !access(a.sun_path, F_OK);
}

static int try_connect(const struct sockaddr_un *a)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		return -errno;
	return take_fd(&fd);
}

static int no_server(const struct sockaddr_un *a, int error)
{
	if (error == -EACCES || error == -EPERM)
		return deny(error,
			    "only root and the group of '%s' may change rules, and this process is "
			    "neither",
			    a->sun_path);
	if (error == -ENOENT || error == -ECONNREFUSED)
		return deny(error,
			    "this needs root, or 'shunt run' with a group: nobody answers at '%s'",
			    a->sun_path);
	return fail(error, "'%s'", a->sun_path);
}

static int connect_server(void)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000 };
	struct sockaddr_un a;
	int error = rule_socket_address(&a), tries = CONNECT_MS / RETRY_MS, fd;

	if (error)
		return error;
	while ((fd = try_connect(&a)) == -ECONNREFUSED || fd == -ENOENT) {
		if (!kept_rules_are_recent() && (!tries-- || access(RUN_DIR, F_OK)))
			break;
		nanosleep(&pause, NULL);
	}
	return fd < 0 ? no_server(&a, fd) : fd;
}

/* Adds a word with its zero byte; false if there is no room. */
static bool add_word(struct rule_request *r, size_t *len, const char *word)
{
	size_t size = strlen(word) + 1;

	if (*len + size > RULE_REQUEST_MAX)
		return false;
	memcpy((char *)r + *len, word, size);
	*len += size;
	return true;
}

static int send_request(int fd, const char *command, int argc, char **argv)
{
	_cleanup_free_ struct rule_request *r = calloc(1, RULE_REQUEST_MAX);
	size_t len = sizeof(*r);
	bool fits;
	int i;

	if (!r)
		return -ENOMEM;
	r->version = RULE_REQUEST_VERSION;
	r->json = opt.json;
	r->netns = own_netns_cookie();
	fits = add_word(r, &len, opt.pin_dir) && add_word(r, &len, command);
	for (i = 1; i < argc && fits; i++)
		fits = add_word(r, &len, argv[i]);
	if (!fits || argc > RULE_REQUEST_WORDS)
		return refuse("%s: the words are too many or too long", command);
	if (send(fd, r, len, MSG_NOSIGNAL) < 0)
		return fail(-errno, "can't ask 'shunt run'");
	return 0;
}

/* Prints the answer. Returns the exit status, or -errno without a message. */
static int print_answer(int fd)
{
	char packet[1 + ANSWER_MAX];
	ssize_t n;

	for (;;) {
		n = recv(fd, packet, sizeof(packet), 0);
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		if (packet[0] == ANSWER_STATUS)
			return n == 2 ? (unsigned char)packet[1] : -EPROTO;
		fwrite(packet + 1, 1, n - 1, packet[0] == ANSWER_ERRORS ? stderr : stdout);
	}
}

int ask_rule_server(const char *command, int argc, char **argv)
{
	const struct timeval patience = { .tv_sec = ANSWER_SEC };
	_cleanup_fd_ int fd = connect_server();
	int status;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	status = send_request(fd, command, argc, argv);
	if (status)
		return status;
	status = print_answer(fd);
	if (status < 0)
		return fail(status, "no answer from 'shunt run'");
	if (fflush(stdout) && !status)
		return fail(-errno, "stdout");
	exit(status);
}
