// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/holders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

static bool is_socket(int pid, const char *fd)
{
	char path[64], target[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	return n > 7 && !strncmp(target, "socket:", 7);
}

/* A descriptor of our own for a descriptor of another process; negative if that is gone. */
static int copy_fd(int pidfd, const char *fd)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0);
}

static bool has_cookie(int fd, __u64 cookie)
{
	socklen_t len = sizeof(cookie);
	__u64 own = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &own, &len) && own == cookie;
}

/* A descriptor of our own for the socket, if the process has it open; -1 if not. */
static int find_in(int pid, __u64 cookie)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	char path[32];
	struct dirent *e;
	int found = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	while (dir && found < 0 && (e = readdir(dir))) {
		_cleanup_fd_ int fd = -1;

		if (!is_socket(pid, e->d_name))
			continue;
		fd = copy_fd(pidfd, e->d_name);
		if (fd >= 0 && has_cookie(fd, cookie))
			found = take_fd(&fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Finds a process with the socket. Returns its descriptor of ours, or -1. */
static int find(__u64 cookie, int *ret_pid)
{
	struct dirent *e;
	DIR *proc = opendir("/proc");
	int found = -1;

	while (proc && found < 0 && (e = readdir(proc))) {
		*ret_pid = atoi(e->d_name);
		if (*ret_pid > 0)
			found = find_in(*ret_pid, cookie);
	}
	if (proc)
		closedir(proc);
	return found;
}

static void read_name(struct holder *h)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", h->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(h->name, sizeof(h->name), f))
		h->name[strcspn(h->name, "\n")] = '\0';
	fclose(f);
}

void holder_find(__u64 cookie, struct holder *ret)
{
	_cleanup_fd_ int fd = -1;

	*ret = (struct holder){ .pid = 0 };
	fd = find(cookie, &ret->pid);
	if (fd < 0)
		ret->pid = 0;
	else
		read_name(ret);
}

/* Disconnecting sends an RST: net/ipv4/tcp.c, tcp_disconnect(). */
bool holder_reset(__u64 cookie)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	int pid;
	_cleanup_fd_ int fd = find(cookie, &pid);

	return fd >= 0 && !connect(fd, &none, sizeof(none));
}
