// SPDX-License-Identifier: GPL-2.0-only
#include "util/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/netlink.h>

#include "util/cleanup.h"
#include "util/log.h"

#define OWN "/proc/self/ns/net"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

__u64 own_netns(void)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	socklen_t len = sizeof(__u64);
	__u64 cookie = 0;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len)) {
		debug("can't tell the network namespace: %m");
		return 0;
	}
	return cookie;
}

__u64 own_netns_inode(void)
{
	struct stat st;

	return stat(OWN, &st) ? 0 : st.st_ino;
}

typedef bool (*meet_fn)(int fd, __u64 inode, void *data);

/* Why some namespace could not be looked at, although it may be there: -errno, or 0. */
static int unseen;

static DIR *open_folder(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir && is_shortage(-errno))
		unseen = -errno;
	return dir;
}

static bool meet_below(const char *path, const char *file, meet_fn meet, void *data)
{
	DIR *dir = open_folder(path);
	struct dirent *entry;
	bool enough = false;
	char name[600];

	while (dir && !enough && (entry = readdir(dir))) {
		_cleanup_fd_ int fd = -1;
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s%s", path, entry->d_name, file);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && is_shortage(-errno))
			unseen = -errno;
		if (fd >= 0 && !fstat(fd, &st))
			enough = meet(fd, st.st_ino, data);
	}
	if (dir)
		closedir(dir);
	return enough;
}

/* Calls meet() with each, those of threads too, until it says that it is enough;
 * did it? The same one may come up many times. */
static bool meet_netns(meet_fn meet, void *data)
{
	bool enough = meet_below("/run/netns", "", meet, data);
	DIR *dir = open_folder("/proc");
	struct dirent *entry;
	char tasks[300];

	if (!dir)
		return enough;
	while (!enough && (entry = readdir(dir))) {
		if (*entry->d_name < '1' || *entry->d_name > '9')
			continue;
		snprintf(tasks, sizeof(tasks), "/proc/%s/task", entry->d_name);
		enough = meet_below(tasks, "/ns/net", meet, data);
	}
	closedir(dir);
	return enough;
}

struct home {
	__u64 inode;
	__u64 cookie;
};

static bool enter(int fd, __u64 inode, void *data)
{
	const struct home *home = data;
	__u64 cookie;

	if (inode != home->inode || setns(fd, CLONE_NEWNET))
		return false;
	cookie = own_netns();
	if (!cookie)
		unseen = -errno;
	return cookie == home->cookie;
}

static void go_back(int own)
{
	if (setns(own, CLONE_NEWNET))
		exit(1);
}

static bool moved;

bool netns_moved(void)
{
	return moved;
}

int enter_netns(__u64 inode, __u64 cookie)
{
	_cleanup_fd_ int own = open(OWN, O_RDONLY | O_CLOEXEC);
	struct home home = { .inode = inode, .cookie = cookie };

	if (own < 0)
		return -errno;
	unseen = 0;
	if (meet_netns(enter, &home)) {
		moved = true;
		return 0;
	}
	go_back(own); /* from one that has the number now */
	return unseen ? unseen : -ENOENT;
}

struct visits {
	void (*visit)(void *data);
	void *data;
	__u64 *inodes; /* been there */
	size_t n;
};

static bool visit_once(int fd, __u64 inode, void *data)
{
	struct visits *v = data;
	__u64 *more;
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->inodes[i] == inode)
			return false;
	more = realloc(v->inodes, (v->n + 1) * sizeof(*more));
	if (!more)
		return true;
	v->inodes = more;
	more[v->n++] = inode;
	if (!setns(fd, CLONE_NEWNET))
		v->visit(v->data);
	return false;
}

void each_netns(void (*visit)(void *data), void *data)
{
	_cleanup_fd_ int own = open(OWN, O_RDONLY | O_CLOEXEC);
	struct visits v = { .visit = visit, .data = data };

	if (own < 0)
		return;
	meet_netns(visit_once, &v);
	free(v.inodes);
	go_back(own);
}
