// SPDX-License-Identifier: GPL-2.0-only
#include "attach/cgroups.h"

#include "attach/attach.h"
#include "attach/cgroup.h"
#include "util/log.h"

/* Whether the cgroup of attachments[i] was made again since it was attached to. The kernel never
 * uses an id twice, so another id is another cgroup. If somebody detached the program, the cgroup
 * keeps its id and is left alone. */
static bool is_recreated(struct cgroups *last, const struct shunt_attachment *attachments,
			 unsigned int i)
{
	__u64 id, attached_id;

	if (attachments[i].kind != ATTACH_CGROUP)
		return false;
	id = cgroup_id(attachments[i].name);
	if (!id || id == last->id[i])
		return false;
	if (attached_cgroup_id(i, &attached_id))
		return false; /* not known now; the supervisor asks again soon */
	if (attached_id == id) {
		last->id[i] = id;
		last->added = true;
	}
	return attached_id != id;
}

bool cgroups_changed(struct cgroups *last, const struct shunt_attachment *attachments)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		changed |= is_recreated(last, attachments, i);
	return changed;
}

/* Notes the id before it attaches, so that an error is reported once for each cgroup. */
bool cgroups_sync(struct cgroups *last, struct shunt_attachment *attachments)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!is_recreated(last, attachments, i))
			continue;
		last->id[i] = cgroup_id(attachments[i].name);
		if (cgroup_reattach(attachments, i))
			continue;
		say("attached again to '%s'", attachments[i].name);
		any = true;
	}
	return any;
}
