// SPDX-License-Identifier: GPL-2.0-only
#include "attach/iface_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"

/* What takes place in one table. */
struct renaming {
	const struct links *links;
	struct shunt_attachment *attachments;
	bool pinned; /* not a copy: what a dropped entry has attached goes, too */
	/* by entry: the interface that the entry is attached to; NULL: none, or it is gone */
	const struct link *at[SHUNT_ATTACHMENTS];
};

/*
 * Finds the interface of an entry. A link at an interface of another name proves that it is the same
 * interface: one that came from another namespace may have the index of one that is gone.
 * Returns 0, or -errno after reporting it.
 */
static int find_link(struct renaming *r, unsigned int i)
{
	const struct shunt_attachment *a = &r->attachments[i];
	const struct link *link = NULL;
	int found = 1;

	if (attachment_is_iface(a) && a->ifindex)
		link = links_find(r->links, a->ifindex);
	if (link && strcmp(link->name, a->name) && !a->clsact)
		found = is_attached(r->attachments, i);
	if (found < 0)
		return fail(found, "can't look at what is attached to '%s'", a->name);
	r->at[i] = found ? link : NULL;
	return 0;
}

static bool is_renamed(const struct renaming *r, unsigned int i)
{
	return r->at[i] && strcmp(r->at[i]->name, r->attachments[i].name);
}

/* The entry that waits for the new name of entry i; -1 if there is none. */
static int find_waiting(const struct renaming *r, unsigned int i)
{
	int other;

	for (other = 0; other < SHUNT_ATTACHMENTS; other++)
		if (!r->at[other] && r->attachments[other].kind == r->attachments[i].kind &&
		    !strcmp(r->attachments[other].name, r->at[i]->name))
			return other;
	return -1;
}

/* Leaves to entry i what an entry waited for. If the user named one of the two, the user named what
 * is left. */
static int replace_waiting(struct renaming *r, unsigned int i, unsigned int waiting)
{
	struct shunt_attachment *a = &r->attachments[i], *w = &r->attachments[waiting];
	const bool by_pattern = w->by_pattern, auto_attached = w->auto_attached;
	int error = r->pinned ? detach(r->attachments, waiting) : 0;

	if (error)
		return error;
	w->kind = ATTACH_NONE;
	a->by_pattern &= by_pattern;
	a->auto_attached &= auto_attached;
	return 0;
}

/* Says it once for all entries of an interface. */
static void say_renamed(const struct renaming *r, unsigned int i, bool replaces)
{
	const __u32 ifindex = r->attachments[i].ifindex;
	unsigned int before;

	if (!r->pinned)
		return;
	for (before = 0; before < i && !replaces; before++)
		if (r->at[before] && r->at[before]->ifindex == ifindex)
			return;
	say("'%s' is '%s' now%s", r->attachments[i].name, r->at[i]->name,
	    replaces ? ", and takes the place of the one that was waited for" : "");
}

static int rename_entry(struct renaming *r, unsigned int i)
{
	int waiting = find_waiting(r, i);
	int error = waiting >= 0 ? replace_waiting(r, i, waiting) : 0;

	if (error)
		return error;
	say_renamed(r, i, waiting >= 0);
	strcpy(r->attachments[i].name, r->at[i]->name);
	return 0;
}

static int rename_all(struct renaming *r)
{
	int i, error, count = 0;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		error = find_link(r, i);
		if (error)
			return error;
	}
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!is_renamed(r, i))
			continue;
		error = rename_entry(r, i);
		if (error)
			return error;
		count++;
	}
	return count;
}

int attachments_take_names(const struct links *links, struct shunt_attachment *attachments)
{
	struct renaming r = { .links = links, .attachments = attachments, .pinned = true };

	return rename_all(&r);
}

int attachments_update_names(void)
{
	struct shunt_attachment *attachments = attachments_map();
	_cleanup_(links_free) struct links links = { .all = NULL };
	int error;

	if (!attachments && errno != ENOENT)
		return fail(-errno, "can't map the table of attachments");
	if (!attachments || !netns_is_loaded())
		return 0;
	error = links_read(&links);
	return error ? error : attachments_take_names(&links, attachments);
}

/* The names in a copy of the table. */
static int take_names_in_copy(struct shunt_attachment *copy)
{
	_cleanup_(links_free) struct links links = { .all = NULL };
	struct renaming r = { .links = &links, .attachments = copy };
	int error;

	if (!netns_is_loaded())
		return 0;
	error = links_read(&links);
	if (!error)
		error = rename_all(&r);
	return error < 0 ? error : 0;
}

int attachments_read(struct shunt_attachment **ret)
{
	const struct shunt_attachment *attachments = attachments_map();
	_cleanup_free_ struct shunt_attachment *copy = NULL;
	int error;

	if (!attachments && errno != ENOENT)
		return fail(-errno, "can't map the table of attachments");
	*ret = NULL;
	if (!attachments)
		return 0;
	copy = malloc(SHUNT_ATTACHMENTS * sizeof(*copy));
	if (!copy)
		return fail(-ENOMEM, "the table of attachments");
	memcpy(copy, attachments, SHUNT_ATTACHMENTS * sizeof(*copy));
	error = take_names_in_copy(copy);
	if (error)
		return error;
	*ret = copy;
	copy = NULL;
	return 0;
}
