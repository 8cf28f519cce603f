// SPDX-License-Identifier: GPL-2.0-only
#include "attach/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "attach/attachments.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "util/cleanup.h"
#include "util/log.h"

/* The name of the pinned link of attachments[i]. */
static const char *link_name(char name[32], unsigned int i)
{
	snprintf(name, 32, "attached_%u", i);
	return name;
}

static const char *link_path(char path[PIN_PATH], enum half half, unsigned int i)
{
	char name[32];

	return pin_path(path, half, "links", link_name(name, i));
}

/* A cgroup has two links: that of sock_ops, and this one of setsockopt. */
static const char *repair_path(char path[PIN_PATH], unsigned int i)
{
	char name[32];

	snprintf(name, sizeof(name), "repair_%u", i);
	return pin_path(path, HALF_BYPASS, "links", name);
}

/* Returns 0, or -errno: reports all errors but that of the attaching itself. */
static int link_cgroup(int cgroup, const char *name, enum bpf_attach_type type, const char *pin)
{
	_cleanup_fd_ int prog = pin_open(HALF_BYPASS, "progs", name), link = -1;

	if (prog < 0)
		return fail(prog, "can't open the program '%s'", name);
	link = bpf_link_create(prog, cgroup, type, NULL);
	if (link < 0)
		return -errno;
	if (bpf_obj_pin(link, pin))
		return fail(-errno, "can't pin '%s'", pin);
	return 0;
}

/* A failure is only reported: without this program a checkpoint of a process can miss bytes, but
 * all else works. */
static void link_repair(int cgroup, const struct shunt_attachment *attachments, unsigned int i)
{
	char pin[PIN_PATH];
	int error;

	unlink(repair_path(pin, i));
	error = link_cgroup(cgroup, "shunt_repair", BPF_CGROUP_SETSOCKOPT, pin);
	if (error)
		say("cgroup '%s': can't watch setsockopt (%s); don't checkpoint its processes",
		    attachments[i].name, strerror(-error));
}

static int attach_cgroup(const struct shunt_attachment *attachments, unsigned int i)
{
	const struct shunt_attachment *a = &attachments[i];
	char pin[PIN_PATH];
	_cleanup_fd_ int cgroup = open(a->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (cgroup < 0)
		return fail(-errno, "can't open cgroup '%s'", a->name);
	error = link_cgroup(cgroup, a->admit == SHUNT_EAGER ? "shunt_eager" : "shunt_proven",
			    BPF_CGROUP_SOCK_OPS, link_path(pin, HALF_BYPASS, i));
	if (error == -EPERM)
		return deny(-EPERM,
			    "can't attach to cgroup '%s': a sock_ops program that allows no other "
			    "is attached to it, or to a cgroup above it",
			    a->name);
	if (error)
		return fail(error, "can't attach to cgroup '%s'", a->name);
	link_repair(cgroup, attachments, i);
	return 0;
}

static int attach_iface(struct shunt_attachment *a, const char *pin)
{
	_cleanup_fd_ int prog = program_open(attachment_half(a), tc_program_name(a));

	return prog < 0 ? prog : tc_attach(a, prog, pin);
}

static int attach_one(struct shunt_attachment *attachments, unsigned int i)
{
	char pin[PIN_PATH];

	link_path(pin, attachment_half(&attachments[i]), i);
	return attach_iface(&attachments[i], pin);
}

/* Whether entry i is a monitor of the interface that a was just attached to. One with ifindex 0 waits
 * for an interface of its name, or a command was killed while it moved the entry. */
static bool monitors_same_iface(const struct shunt_attachment *attachments, int i,
				const struct shunt_attachment *a)
{
	const struct shunt_attachment *m = &attachments[i];

	return attachment_is_monitor(m) && !m->clsact &&
	       (m->ifindex ? m->ifindex == a->ifindex : !strcmp(m->name, a->name));
}

/* Programs of an interface run in the order in which they were attached, and the monitor has to see
 * what the others did. A clsact filter has a priority instead. ifindex is 0 while the monitor is
 * detached: after a kill or a failure, which is reported, ifaces_sync() attaches the monitor. */
static void put_monitor_last(struct shunt_attachment *attachments,
			     const struct shunt_attachment *attached)
{
	struct shunt_attachment moved;
	char pin[PIN_PATH];
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!monitors_same_iface(attachments, i, attached))
			continue;
		attachments[i].ifindex = 0;
		if (detach_keep_entry(attachments, i))
			continue;
		moved = attachments[i];
		moved.ifindex = attached->ifindex;
		if (!attach_iface(&moved, link_path(pin, HALF_MONITOR, i)))
			attachments[i] = moved;
	}
}

int attach(struct shunt_attachment *attachments, unsigned int i)
{
	int error;

	if (attachments[i].kind == ATTACH_PATTERN)
		return 0;
	if (attachments[i].kind == ATTACH_CGROUP)
		return attach_cgroup(attachments, i);
	error = attach_one(attachments, i);
	if (error || attachment_is_monitor(&attachments[i]))
		return error;
	put_monitor_last(attachments, &attachments[i]);
	return 0;
}

int attach_waiting(struct shunt_attachment *attachments, unsigned int i, __u32 ifindex)
{
	int error = detach_keep_entry(attachments, i);

	if (error)
		return error;
	attachments[i].ifindex = ifindex;
	error = attach(attachments, i);
	if (error)
		detach_keep_entry(attachments, i);
	return error;
}

void cgroup_complete(struct shunt_attachment *attachments, unsigned int i)
{
	char pin[PIN_PATH];
	_cleanup_fd_ int cgroup = -1, link = bpf_obj_get(repair_path(pin, i));

	if (link != -ENOENT)
		return;
	cgroup = open(attachments[i].name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup >= 0)
		link_repair(cgroup, attachments, i);
}

int cgroup_reattach(struct shunt_attachment *attachments, unsigned int i)
{
	char name[32];
	int error = unpin(HALF_BYPASS, "links", link_name(name, i));

	return error ? error : attach(attachments, i);
}

/* A link outlives its cgroup; the id in it is 0 then. */
int attached_cgroup_id(unsigned int i, __u64 *ret_id)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char pin[PIN_PATH];
	_cleanup_fd_ int link = bpf_obj_get(link_path(pin, HALF_BYPASS, i));

	*ret_id = 0;
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		return -errno;
	*ret_id = info.cgroup.cgroup_id;
	return 0;
}

int is_attached(const struct shunt_attachment *attachments, unsigned int i)
{
	_cleanup_fd_ int prog = -1;
	char pin[PIN_PATH];
	enum half half = attachment_half(&attachments[i]);
	__u64 id;

	link_path(pin, half, i);
	if (attachments[i].kind == ATTACH_CGROUP)
		return attached_cgroup_id(i, &id) ?: id != 0;
	prog = pin_open(half, "progs", tc_program_name(&attachments[i]));
	if (prog < 0 && prog != -ENOENT)
		return prog;
	return tc_is_attached(&attachments[i], prog, pin);
}

bool has_moved_away(const struct shunt_attachment *attachments, unsigned int i)
{
	char pin[PIN_PATH];

	return attachment_is_iface(&attachments[i]) &&
	       tc_has_moved_away(&attachments[i],
				 link_path(pin, attachment_half(&attachments[i]), i));
}

int detach_keep_entry(struct shunt_attachment *attachments, unsigned int i)
{
	enum half half = attachment_half(&attachments[i]);
	_cleanup_fd_ int prog = pin_open(half, "progs", tc_program_name(&attachments[i]));
	char pin[PIN_PATH];
	int error;

	if (prog < 0 && prog != -ENOENT)
		return fail(prog, "can't detach from '%s'", attachments[i].name);
	error = tc_detach(&attachments[i], prog, link_path(pin, half, i));
	if (error)
		return error;
	attachments[i].ifindex = 0;
	attachments[i].clsact = attachments[i].qdisc = 0;
	attachments[i].priority = 0;
	return 0;
}

int detach(struct shunt_attachment *attachments, unsigned int i)
{
	int error = detach_keep_entry(attachments, i);

	if (error)
		return error;
	attachments[i].kind = ATTACH_NONE;
	return 0;
}

int attach_new(struct shunt_attachment *attachments, const struct shunt_attachment *wanted)
{
	struct shunt_attachment *a = attachment_find(attachments, wanted->kind, wanted->name);
	int error, found = 0;

	if (a && a->ifindex == wanted->ifindex)
		found = is_attached(attachments, a - attachments);
	if (found < 0)
		return fail(found, "can't look at what is attached to '%s'", wanted->name);
	if (found)
		return 0;
	if (a) { /* the interface was replaced, or another program detached ours */
		error = detach(attachments, a - attachments);
		if (error)
			return error;
	}
	a = attachment_unused(attachments);
	if (!a)
		return deny(-ENOSPC, "can't attach to '%s': more than %d attachments", wanted->name,
			    SHUNT_ATTACHMENTS);
	*a = *wanted;
	error = attach(attachments, a - attachments);
	if (error && !a->clsact) /* an entry with clsact set tells unload what is left */
		a->kind = ATTACH_NONE;
	return error;
}

/* Detaches at once: when a link is only unpinned, a worker thread of the kernel detaches it some
 * time later. */
static int detach_link(const char *pin)
{
	_cleanup_fd_ int link = bpf_obj_get(pin);

	if (link < 0)
		return link == -ENOENT ? 0 : link;
	return bpf_link_detach(link) ? -errno : 0;
}

static int detach_cgroup(struct shunt_attachment *attachments, unsigned int i)
{
	char pin[PIN_PATH], name[32];
	int error = detach_link(link_path(pin, HALF_BYPASS, i));

	if (error)
		return fail(error, "can't detach from cgroup '%s'", attachments[i].name);
	error = detach_link(repair_path(pin, i));
	if (error)
		return fail(error, "can't detach from cgroup '%s'", attachments[i].name);
	unlink(repair_path(pin, i));
	return unpin(HALF_BYPASS, "links", link_name(name, i));
}

int attachment_remove(struct shunt_attachment *attachments, unsigned int i)
{
	int error;

	if (attachment_is_iface(&attachments[i]))
		return detach(attachments, i);
	error = attachments[i].kind == ATTACH_CGROUP ? detach_cgroup(attachments, i) : 0;
	if (error)
		return error;
	attachments[i].kind = ATTACH_NONE;
	return 0;
}

int detach_cgroups(struct shunt_attachment *attachments)
{
	int i, error;

	for (i = 0; attachments && i < SHUNT_ATTACHMENTS; i++) {
		if (attachments[i].kind != ATTACH_CGROUP)
			continue;
		error = attachment_remove(attachments, i);
		if (error)
			return error;
	}
	return 0;
}

void attachments_forget(struct shunt_attachment *attachments, enum half half)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachment_half(&attachments[i]) == half)
			attachments[i].kind = ATTACH_NONE;
}

int detach_ifaces(struct shunt_attachment *attachments, enum half half)
{
	int i, error, first = 0;

	/* Backwards: the first entry of an interface made the qdisc, and removes it when no filter
	 * is left. */
	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--) {
		if (attachments[i].kind == ATTACH_NONE || attachments[i].kind == ATTACH_CGROUP ||
		    attachment_half(&attachments[i]) != half)
			continue;
		error = attachment_remove(attachments, i);
		first = first ? first : error;
	}
	return first;
}
