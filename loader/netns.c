// SPDX-License-Identifier: GPL-2.0-only
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "shunt.h"

#define OWN "/proc/self/ns/net"

__u64 own_netns(void)
{
	struct stat st;

	return stat(OWN, &st) ? 0 : st.st_ino;
}

/* Calls meet() with each until it says that it is enough; did it? The same one
 * may come up many times. */
static bool meet_netns(bool (*meet)(int fd, __u64 inode, void *data), void *data)
{
	static const char *const dirs[] = { "/run/netns", "/proc" };
	bool enough = false;
	struct dirent *entry;
	char path[300];
	int i;

	for (i = 0; i < 2; i++) {
		DIR *dir = opendir(dirs[i]);

		while (dir && !enough && (entry = readdir(dir))) {
			_cleanup_fd_ int fd = -1;
			struct stat st;

			snprintf(path, sizeof(path), "%s/%s%s", dirs[i], entry->d_name, i ? "/ns/net" : "");
			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
			if (fd >= 0 && !fstat(fd, &st))
				enough = meet(fd, st.st_ino, data);
		}
		if (dir)
			closedir(dir);
	}
	return enough;
}

static bool enter(int fd, __u64 inode, void *data)
{
	return inode == *(__u64 *)data && !setns(fd, CLONE_NEWNET);
}

int enter_netns(__u64 inode)
{
	return meet_netns(enter, &inode) ? 0 : -ENOENT;
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
	if (setns(own, CLONE_NEWNET))
		exit(1);
}
