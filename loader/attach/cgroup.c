// SPDX-License-Identifier: GPL-2.0-only
#include "attach/cgroup.h"

#include <errno.h>
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
