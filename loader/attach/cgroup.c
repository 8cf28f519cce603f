// SPDX-License-Identifier: GPL-2.0-only
#include "attach/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"

int cgroup_root(char *ret, size_t size)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *m;
	int error = -ENOENT;

	if (!mounts)
		return -ENOENT;
	while (error && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2")) {
			snprintf(ret, size, "%s", m->mnt_dir);
			error = 0;
		}
	endmntent(mounts);
	return error;
}

__u64 cgroup_id(const char *path)
{
	struct statfs fs;
	struct stat st;

	if (stat(path, &st) || !S_ISDIR(st.st_mode) || statfs(path, &fs) ||
	    (unsigned int)fs.f_type != CGROUP2_SUPER_MAGIC)
		return 0;
	return st.st_ino;
}

/* Of open_by_handle_at(2): the handle of a cgroup is its id. */
#define FILEID_KERNFS 0xfe

int cgroup_find(__u64 id, char *ret, size_t size)
{
	union {
		struct file_handle head;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	char root[PATH_MAX], link[32], full[PATH_MAX];
	_cleanup_fd_ int mount = -1, cgroup = -1;
	ssize_t len;

	if (cgroup_root(root, sizeof(root)))
		return -ENOENT;
	mount = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return -errno;
	memcpy(handle.head.f_handle, &id, sizeof(id));
	cgroup = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
	if (cgroup < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", cgroup);
	len = readlink(link, full, sizeof(full) - 1);
	if (len < 0)
		return -errno;
	full[len] = '\0';
	if (cgroup_id(full) != id || (size_t)len >= size) /* removed while a process is in it */
		return -ENOENT;
	strcpy(ret, full);
	return 0;
}

static bool is_cgroup(const char *path)
{
	return cgroup_id(path);
}

void cgroup_path(const char *name, char *ret, size_t size)
{
	char root[PATH_MAX] = "";

	if (name[0] == '/' || cgroup_root(root, sizeof(root)))
		snprintf(ret, size, "%s", name);
	else
		snprintf(ret, size, "%s/%s", root, name);
}

int cgroup_resolve(const char *name, char *ret, size_t size)
{
	char root[PATH_MAX], below[2 * PATH_MAX], full[PATH_MAX];
	const char *found = NULL;

	if (cgroup_root(root, sizeof(root)))
		return deny(-ENOENT, "cgroup '%s': no cgroup2 file system is mounted", name);
	snprintf(below, sizeof(below), "%s/%s", root, name);
	if (name[0] == '/' && is_cgroup(name))
		found = name;
	else if (*name && is_cgroup(below))
		found = below;
	if (!found && name[0] == '/' && !access(name, F_OK))
		return deny(-ENOTDIR,
			    "'%s' is not a directory of cgroup2, which is mounted at '%s'", name,
			    root);
	if (!found)
		return deny(-ENOENT, "no cgroup '%s' (looked below '%s')", name, root);
	if (!realpath(found, full))
		return fail(-errno, "can't find the path of cgroup '%s'", name);
	if (strlen(full) >= size)
		return deny(-ENAMETOOLONG, "cgroup '%s': path longer than %zu", name, size - 1);
	strcpy(ret, full);
	return 0;
}
