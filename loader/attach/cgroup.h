/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds directories of cgroup2. */
#ifndef SHUNT_CGROUP_H
#define SHUNT_CGROUP_H

#include <stddef.h>

#include <linux/types.h>

/* The id of the cgroup with this path, which is the directory's inode number; 0 if there is no
 * such cgroup. */
__u64 cgroup_id(const char *path);

/* Writes where cgroup2 is mounted: the first such line of /proc/mounts. Returns 0, or -ENOENT
 * without a message. */
int cgroup_root(char *ret, size_t size);

/* Writes the full path of the cgroup with this id. Returns 0, or -errno without a message. */
int cgroup_find(__u64 id, char *ret, size_t size);

/* Writes where a cgroup of this name would be: an absolute path as it is, another below the mount of
 * cgroup2. */
void cgroup_path(const char *name, char *ret, size_t size);

/* Finds the cgroup that a user named by its path, or by its name below the mount of cgroup2, and
 * writes its full path. Returns 0, or -errno after reporting it. */
int cgroup_resolve(const char *name, char *ret, size_t size);

#endif
