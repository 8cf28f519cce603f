// SPDX-License-Identifier: GPL-2.0-only
#include "attach/cgroups.h"

#include "attach/attach.h"
#include "attach/cgroup.h"
#include "util/log.h"

/* Ids are never used twice, so another id is another cgroup. One whose program
 * somebody took off keeps its id, and is left alone. */
static bool is_new(struct cgroups *seen, const struct shunt_state *states, unsigned int i)
{
	__u64 id, had;

	if (states[i].kind != SHUNT_CGROUP)
		return false;
	id = cgroup_id(states[i].name);
	if (!id || id == seen->id[i])
		return false;
	if (attached_cgroup(i, &had))
		return false; /* not known now; asked again soon */
	if (had == id)
		seen->id[i] = id;
	return had != id;
}

bool cgroups_changed(struct cgroups *seen, const struct shunt_state *states)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < SHUNT_STATES; i++)
		changed |= is_new(seen, states, i);
	return changed;
}

/* An error is reported once for each cgroup. */
bool cgroups_sync(struct cgroups *seen, struct shunt_state *states)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < SHUNT_STATES; i++) {
		if (!is_new(seen, states, i))
			continue;
		seen->id[i] = cgroup_id(states[i].name);
		if (cgroup_reattach(states, i))
			continue;
		say("attached again to '%s'", states[i].name);
		any = true;
	}
	return any;
}
