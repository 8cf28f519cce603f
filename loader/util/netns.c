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

__u64 own_netns_cookie(void)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	socklen_t len = sizeof(__u64);
	__u64 cookie = 0;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len)) {
		debug("can't read the cookie of the network namespace: %m");
		return 0;
	}
	return cookie;
}

__u64 own_netns_inode(void)
{
	struct stat st;

	return stat(OWN, &st) ? 0 : st.st_ino;
}

/* Gets an open namespace and its inode number. Returns true to end the search. */
typedef bool (*match_fn)(int fd, __u64 inode, void *data);

/* -errno if the search passed over a namespace because something ran out (is_shortage());
 * 0 if it saw all. */
static int skip_error;

static DIR *open_folder(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir && is_shortage(-errno))
		skip_error = -errno;
	return dir;
}

/* Calls match() for the namespace of each PATH/ENTRY/FILE. Returns whether one call returned
 * true. */
static bool search_below(const char *path, const char *file, match_fn match, void *data)
{
	DIR *dir = open_folder(path);
	struct dirent *entry;
	bool found = false;
	char name[600];

	while (dir && !found && (entry = readdir(dir))) {
		_cleanup_fd_ int fd = -1;
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s%s", path, entry->d_name, file);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && is_shortage(-errno))
			skip_error = -errno;
		if (fd >= 0 && !fstat(fd, &st))
			found = match(fd, st.st_ino, data);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Calls match() for each namespace, also those that only a thread is in, until it returns true.
 * Returns whether it did. The same namespace may come many times. */
static bool search_netns(match_fn match, void *data)
{
	bool found = search_below("/run/netns", "", match, data);
	DIR *dir = open_folder("/proc");
	struct dirent *entry;
	char tasks[300];

	if (!dir)
		return found;
	while (!found && (entry = readdir(dir))) {
		if (*entry->d_name < '1' || *entry->d_name > '9')
			continue;
		snprintf(tasks, sizeof(tasks), "/proc/%s/task", entry->d_name);
		found = search_below(tasks, "/ns/net", match, data);
	}
	closedir(dir);
	return found;
}

struct wanted_netns {
	__u64 inode;
	__u64 cookie;
};

/* Leaves the caller in a namespace that has the inode number, even if the cookie differs. */
static bool enter_if_wanted(int fd, __u64 inode, void *data)
{
	const struct wanted_netns *wanted = data;
	__u64 cookie;

	if (inode != wanted->inode || setns(fd, CLONE_NEWNET))
		return false;
	cookie = own_netns_cookie();
	if (!cookie)
		skip_error = -errno;
	return cookie == wanted->cookie;
}

static void return_to(int own)
{
	if (setns(own, CLONE_NEWNET))
		exit(1);
}

static bool has_moved;

bool netns_has_moved(void)
{
	return has_moved;
}

int enter_netns(__u64 inode, __u64 cookie)
{
	_cleanup_fd_ int own = open(OWN, O_RDONLY | O_CLOEXEC);
	struct wanted_netns wanted = { .inode = inode, .cookie = cookie };

	if (own < 0)
		return -errno;
	skip_error = 0;
	if (search_netns(enter_if_wanted, &wanted)) {
		has_moved = true;
		return 0;
	}
	return_to(own); /* from a namespace with the same inode number */
	return skip_error ? skip_error : -ENOENT;
}

struct visits {
	void (*visit)(void *data);
	void *data;
	__u64 *inodes; /* of the namespaces that visit() has been called in */
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

void for_each_netns(void (*visit)(void *data), void *data)
{
	_cleanup_fd_ int own = open(OWN, O_RDONLY | O_CLOEXEC);
	struct visits v = { .visit = visit, .data = data };

	if (own < 0)
		return;
	search_netns(visit_once, &v);
	free(v.inodes);
	return_to(own);
}
