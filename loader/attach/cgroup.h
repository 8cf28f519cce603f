/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_CGROUP_H
#define SHUNT_CGROUP_H

#include <stddef.h>

#include <linux/types.h>

/* Id of the cgroup that has this directory: its inode number. 0: there is none. */
__u64 cgroup_id(const char *path);

/* Where the cgroup2 tree is mounted (first such line of /proc/mounts); 0, or
 * -ENOENT, unsaid. */
int cgroup_root(char *ret, size_t size);

/* Finds the cgroup a user named: a path, or a name below the cgroup2 mount.
 * *ret is its full path; 0 or -errno, said. */
int cgroup_resolve(const char *name, char *ret, size_t size);

#endif
