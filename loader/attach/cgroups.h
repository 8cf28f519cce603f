/* SPDX-License-Identifier: GPL-2.0-only */
/* Follows the cgroups that load named. */
#ifndef SHUNT_CGROUPS_H
#define SHUNT_CGROUPS_H

#include <stdbool.h>

#include <shunt/abi.h>

/* The ids of the cgroups that were attached to at the last look, by their place in
 * shunt_attachment; 0: none yet. */
struct cgroups {
	__u64 id[SHUNT_ATTACHMENTS];
};

/* Is there a cgroup by an attached one's path that nothing was attached to yet? */
bool cgroups_changed(struct cgroups *seen, const struct shunt_attachment *attachments);

/* Attaches to the cgroups that were removed and made again under the same path. The caller
 * holds the lock. Returns whether there were any. */
bool cgroups_sync(struct cgroups *seen, struct shunt_attachment *attachments);

#endif
