// SPDX-License-Identifier: GPL-2.0-only
#include "attach/cgroups.h"

#include "attach/attach.h"
#include "attach/cgroup.h"
#include "util/log.h"

/* Ids are never used twice, so another id is another cgroup. One whose program
 * somebody took off keeps its id, and is left alone. */
static bool is_new(struct cgroups *seen, const struct shunt_attachment *attachments, unsigned int i)
{
	__u64 id, had;

	if (attachments[i].kind != ATTACH_CGROUP)
		return false;
	id = cgroup_id(attachments[i].name);
	if (!id || id == seen->id[i])
		return false;
	if (attached_cgroup(i, &had))
		return false; /* not known now; asked again soon */
	if (had == id)
		seen->id[i] = id;
	return had != id;
}

bool cgroups_changed(struct cgroups *seen, const struct shunt_attachment *attachments)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		changed |= is_new(seen, attachments, i);
	return changed;
}

/* An error is reported once for each cgroup. */
bool cgroups_sync(struct cgroups *seen, struct shunt_attachment *attachments)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!is_new(seen, attachments, i))
			continue;
		seen->id[i] = cgroup_id(attachments[i].name);
		if (cgroup_reattach(attachments, i))
			continue;
		say("attached again to '%s'", attachments[i].name);
		any = true;
	}
	return any;
}
