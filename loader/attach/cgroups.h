/* SPDX-License-Identifier: GPL-2.0-only */
/* Follows the cgroups that load named: attaches again when one is removed and made again. */
#ifndef SHUNT_CGROUPS_H
#define SHUNT_CGROUPS_H

#include <stdbool.h>

#include <shunt/abi.h>

/* For each entry of shunt_attachment, the id of the cgroup that was attached to, or tried, at the
 * last call; 0: none yet. */
struct cgroups {
	__u64 id[SHUNT_ATTACHMENTS];
	bool added; /* load has attached to another cgroup; run_follow() clears this */
};

/* Whether a cgroup was made again at the path of an attached one, and not attached to yet. */
bool cgroups_changed(struct cgroups *last, const struct shunt_attachment *attachments);

/* Attaches to the cgroups that were made again. The caller holds the lock. Reports errors. Returns
 * whether it attached to any. */
bool cgroups_sync(struct cgroups *last, struct shunt_attachment *attachments);

#endif
