// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child of the supervisor listens, so that no caller can hold up the supervisor. It starts one
 * process for each call. That process keeps the output of the command in memory, so that no lock
 * is held while the caller reads.
 */
#include "cmd/rule_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/run_child.h"
#include "rules/routers.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/run_dir.h"
#include "util/unix_socket.h"

/* At most this many calls run at the same time; others wait. */
#define MAX_CALLS 8
#define REQUEST_SEC 2 /* for the caller to send its request */
#define CALL_SEC 60   /* for the command, which may wait for the lock */
#define READ_SEC 5    /* for the caller to read a packet of the answer */
#define MAX_OUTPUT (64 << 20)

static const char *const commands[] = { "diverter", "steer", "map_update", "map_delete_elem" };
static const command_fn run[] = { cmd_diverter, cmd_steer, cmd_map_update, cmd_map_delete_elem };

/* Verbs of 'steer' for the group. Those that read files or make packets are for root only. */
static const char *const steer_verbs[] = { "add", "del", "list", "flush", "prune" };

static bool serving;
static __u64 caller;
static pid_t caller_pid;

bool serves_call(void)
{
	return serving;
}

__u64 caller_netns(void)
{
	return serving ? caller : own_netns_cookie();
}

pid_t caller_parent(void)
{
	return serving ? parent_of(caller_pid) : getppid();
}

int rule_group(const char *name, gid_t *ret)
{
	const struct group *g;
	char *end;
	unsigned long id;

	errno = 0;
	g = getgrnam(name ? name : RULE_GROUP);
	if (g) {
		*ret = g->gr_gid;
		return 0;
	}
	if (!name) {
		*ret = 0;
		return 0;
	}
	id = strtoul(name, &end, 10);
	if (*name < '0' || *name > '9' || *end || id > 0x7fffffff)
		return refuse("--group '%s': no such group", name);
	*ret = id;
	return 0;
}

/* --- one call -------------------------------------------------------------------- */

static int find(const char *const *names, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

bool steer_for_group(const char *verb)
{
	return find(steer_verbs, COUNT(steer_verbs), verb) >= 0;
}

static int run_words(int argc, char **argv)
{
	int i = find(commands, COUNT(commands), argv[0]);

	if (i < 0 || (run[i] == cmd_steer && (argc < 2 || !steer_for_group(argv[1]))))
		return deny(-EPERM, "'%s%s%s' needs root", argv[0], argc > 1 ? " " : "",
			    argc > 1 ? argv[1] : "");
	return run[i](argc, argv);
}

/* Cuts the request, which ends with a zero byte, into words and returns their number. */
static int split(char *words, size_t len, char *word[RULE_REQUEST_WORDS + 2])
{
	char *p = words, *end = words + len;
	int count = 0;

	while (p < end && count < RULE_REQUEST_WORDS + 1) {
		word[count++] = p;
		p += strlen(p) + 1;
	}
	word[count] = NULL;
	return p < end ? -E2BIG : count;
}

/* Runs the command of a request. Returns what the command returns, or -errno after reporting what
 * is wrong with the request. */
static int handle(struct rule_request *r, ssize_t len)
{
	char *word[RULE_REQUEST_WORDS + 2];
	int count;

	if (len <= (ssize_t)sizeof(*r) || len > RULE_REQUEST_MAX || ((char *)r)[len - 1] ||
	    r->version != RULE_REQUEST_VERSION)
		return deny(-EPROTO,
			    "'shunt run' is of another version than this program; restart it");
	opt.json = r->json;
	serving = true;
	caller = r->netns;
	count = split(r->words, len - sizeof(*r), word);
	if (count < 2)
		return refuse("the words are too many, or none");
	if (strcmp(word[0], opt.pin_dir))
		return deny(-EINVAL, "'shunt run' is for '%s', not for '%s'", opt.pin_dir, word[0]);
	return run_words(count - 1, word + 1);
}

/* Sends a file as packets of this kind. False if the caller did not get all of it. */
static bool send_kind(int conn, char kind, int fd)
{
	char packet[1 + ANSWER_MAX] = { kind };
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, packet + 1, ANSWER_MAX, at)) > 0) {
		if (send(conn, packet, n + 1, MSG_NOSIGNAL) < 0)
			return false;
		at += n;
	}
	return !n;
}

static void set_timeout(int conn, int option, int sec)
{
	const struct timeval t = { .tv_sec = sec };

	setsockopt(conn, SOL_SOCKET, option, &t, sizeof(t));
}

/* Makes standard input empty, and lets output and messages go to memory. */
static bool collect_output(int *ret_out, int *ret_err)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	*ret_out = memfd_create("output", MFD_CLOEXEC);
	*ret_err = memfd_create("errors", MFD_CLOEXEC);
	return null >= 0 && *ret_out >= 0 && *ret_err >= 0 && dup2(null, 0) >= 0 &&
	       dup2(*ret_out, 1) >= 0 && dup2(*ret_err, 2) >= 0;
}

static void serve_call(int conn)
{
	const struct rlimit most = { MAX_OUTPUT, MAX_OUTPUT };
	_cleanup_free_ struct rule_request *r = calloc(1, RULE_REQUEST_MAX + 1);
	char status[2] = { ANSWER_STATUS };
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;
	int out, err;
	ssize_t len;

	if (!getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		caller_pid = peer.pid;
	set_timeout(conn, SO_RCVTIMEO, REQUEST_SEC);
	set_timeout(conn, SO_SNDTIMEO, READ_SEC);
	len = r ? recv(conn, r, RULE_REQUEST_MAX, MSG_TRUNC) : -1;
	if (len <= 0 || !collect_output(&out, &err))
		return;
	setrlimit(RLIMIT_FSIZE, &most);
	alarm(CALL_SEC);
	status[1] = exit_code(handle(r, len));
	alarm(0);
	fflush(stdout);
	fflush(stderr);
	if (send_kind(conn, ANSWER_ERRORS, err) && send_kind(conn, ANSWER_OUTPUT, out))
		send(conn, status, sizeof(status), MSG_NOSIGNAL);
}

/* --- the process that listens ------------------------------------------------------ */

static void woken(int signal)
{
	(void)signal;
}

/* Reaps the processes of calls that are over. Waits for one if there are too many. */
static void reap(int *calls)
{
	while (*calls && waitpid(-1, NULL, *calls < MAX_CALLS ? WNOHANG : 0) > 0)
		--*calls;
}

static void listen_for_calls(int listener)
{
	int calls = 0, conn;
	pid_t pid;

	for (;;) {
		reap(&calls);
		conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0)
			continue;
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve_call(conn);
			_exit(0);
		}
		calls += pid > 0;
		close(conn);
	}
}

static void serve(void *data)
{
	const struct sigaction wake = { .sa_handler = woken };

	(void)data;
	sigaction(SIGCHLD, &wake, NULL);
	listen_for_calls(3);
}

int rule_server_start(struct rule_server *s, gid_t group)
{
	_cleanup_fd_ int listener = -1;
	struct sockaddr_un a;
	pid_t pid;
	int error;

	if (!group)
		return 0;
	error = rule_socket_address(&a);
	if (error)
		return error;
	listener = unix_socket_listen(&a, SOCK_SEQPACKET, group);
	if (listener < 0)
		return listener;
	pid = run_child_start("shunt-rules", &listener, 1, serve, NULL);
	if (pid < 0)
		return fail(pid, "a process for '%s'", a.sun_path);
	s->pid = pid;
	s->group = group;
	return 0;
}

/* In the environment of a process that begins anew: the process that serves. */
#define SERVER_PID "SHUNT_RULE_SERVER"

void rule_server_hand_on(struct rule_server *s)
{
	if (s->restarted)
		rule_server_stop(s);
	run_child_hand_on(SERVER_PID, s->pid);
}

bool rule_server_inherit(struct rule_server *s, gid_t group)
{
	pid_t pid = run_child_inherit(SERVER_PID);

	if (!pid)
		return false;
	s->pid = pid;
	s->group = group;
	return true;
}

void rule_server_keep(struct rule_server *s)
{
	if (!s->pid || !run_child_has_ended(s->pid))
		return;
	s->pid = 0;
	s->restarted = true;
	rule_server_start(s, s->group);
}

void rule_server_stop(struct rule_server *s)
{
	struct sockaddr_un a;

	if (!s->pid)
		return;
	run_child_end(s->pid);
	s->pid = 0;
	if (rule_socket_address(&a))
		return;
	unlink(a.sun_path);
	rmdir(RUN_DIR);
}
