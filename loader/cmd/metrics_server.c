// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_server.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cmd/metrics_http.h"
#include "cmd/run_child.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/run_dir.h"

/* Pause before the process is started again. */
#define RESTART_MS 1000

/* In the environment of a process that begins anew: the process that serves. */
#define SERVER_PID "SHUNT_METRICS_SERVER"

static void serve(void *data)
{
	const struct metrics_server *s = data;

	metrics_http_serve(&(struct metrics_http){ .listener = 3, .ready = 4, .rules = s->rules });
}

static void remove_socket(const struct metrics_server *s)
{
	if (s->address.any.sa_family != AF_UNIX)
		return;
	unlink(s->address.path.sun_path);
	rmdir(RUN_DIR); /* if the socket was the last one there */
}

static int start(struct metrics_server *s)
{
	_cleanup_fd_ int listener = metrics_address_listen(&s->address, s->group);
	_cleanup_fd_ int serves = -1;
	int ready[2];
	char byte;
	pid_t pid;

	if (listener < 0)
		return listener;
	if (pipe2(ready, O_CLOEXEC))
		return fail(-errno, "a pipe");
	serves = ready[0];
	pid = run_child_start("shunt-metrics", (int[]){ listener, ready[1] }, 2, serve, s);
	close(ready[1]);
	if (pid < 0) {
		remove_socket(s);
		return fail(pid, "a process for '%s'", s->address.word);
	}
	s->pid = pid;
	if (read(serves, &byte, 1) == 1)
		return 0;
	metrics_server_stop(s);
	return deny(-EIO, "metrics are not served at '%s'", s->address.word);
}

int metrics_server_start(struct metrics_server *s)
{
	if (!s->address.word || metrics_server_inherit(s))
		return 0;
	return start(s);
}

void metrics_server_keep(struct metrics_server *s)
{
	if (!s->address.word || monotonic_ns() < s->restart_ns)
		return;
	if (!s->pid) {
		s->restart_ns = monotonic_ns() + RESTART_MS * NS_PER_MS;
		start(s);
	} else if (run_child_has_ended(s->pid)) {
		warn("the process that served metrics has ended");
		s->restart_ns = monotonic_ns() + RESTART_MS * NS_PER_MS;
		s->pid = 0;
	}
}

void metrics_server_hand_on(const struct metrics_server *s)
{
	run_child_hand_on(SERVER_PID, s->pid);
}

bool metrics_server_inherit(struct metrics_server *s)
{
	s->pid = run_child_inherit(SERVER_PID);
	return s->pid > 0;
}

void metrics_server_stop(struct metrics_server *s)
{
	if (!s->pid)
		return;
	run_child_end(s->pid);
	s->pid = 0;
	remove_socket(s);
}
