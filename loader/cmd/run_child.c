// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than the files that a child keeps. */
#define ABOVE 16

/* Makes fds the files 3 and up, and closes all others, of which one holds the lock. */
static bool keep_files(const int *fds, int count)
{
	int i, high[ABOVE];

	for (i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, ABOVE);
		if (high[i] < 0)
			return false;
	}
	for (i = 0; i < count; i++)
		if (dup2(high[i], 3 + i) < 0)
			return false;
	return !syscall(SYS_close_range, 3U + count, ~0U, 0U);
}

pid_t run_child_start(const char *name, const int *fds, int count, void (*serve)(void *data),
		      void *data)
{
	pid_t parent = getpid(), pid;
	sigset_t none;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !keep_files(fds, count))
		_exit(1);
	prctl(PR_SET_NAME, name);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	serve(data);
	_exit(1);
}

void run_child_hand_on(const char *variable, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	setenv(variable, text, 1);
}

pid_t run_child_inherit(const char *variable)
{
	const char *text = getenv(variable);
	pid_t pid = text ? (pid_t)strtol(text, NULL, 10) : 0;

	unsetenv(variable);
	return pid <= 0 || waitpid(pid, NULL, WNOHANG) ? 0 : pid;
}

bool run_child_has_ended(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid;
}

void run_child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
