// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach/clsact.h"
#include "attach/tc.h"
#include "attach/tc_hooks.h"
#include "util/cleanup.h"
#include "util/log.h"

static int detach_tcx(const struct shunt_attachment *a, const char *link_pin)
{
	_cleanup_fd_ int link = bpf_obj_get(link_pin);

	if (link < 0 && link != -ENOENT)
		return fail(link, "can't detach from '%s': %s", a->name, link_pin);
	/* When a link is only unpinned, a worker thread of the kernel detaches it later. */
	if (link >= 0)
		bpf_link_detach(link);
	if (unlink(link_pin) && errno != ENOENT)
		return fail(-errno, "can't detach from '%s': %s", a->name, link_pin);
	return 0;
}

/* Sets *ret to the index of the interface that the link is attached to, in the namespace where the
 * interface is now; 0 if there is none. Returns 0, or -errno without a message. */
static int link_ifindex(const char *link_pin, __u32 *ret)
{
	_cleanup_fd_ int link = bpf_obj_get(link_pin);
	struct bpf_link_info info = { .type = 0 };
	__u32 len = sizeof(info);

	*ret = 0;
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		return -errno;
	/* The headers of 6.1 lack tcx.ifindex, which is at the offset of xdp.ifindex. It is 0 when
	 * the interface is gone. */
	*ret = info.xdp.ifindex;
	return 0;
}

/* Looks at the programs of the interface, too, not only at the link: a link goes along when its
 * interface moves to another namespace, where another interface may have the same index. */
static int is_linked(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS, ifindex;
	int found = 0, error = link_ifindex(link_pin, &ifindex);

	if (error)
		return error;
	if (ifindex != a->ifindex)
		return 0;
	if (bpf_prog_query(ifindex_of(a), hook_of(a)->tcx, 0, NULL, ids, &n))
		return is_shortage(-errno) ? -errno : 0;
	while (n-- && !found)
		found = program_is_own(a, ids[n], prog_fd);
	return found;
}

int tc_attach_link(struct shunt_attachment *a, int prog_fd, int *ret_link)
{
	const struct hook *hook = hook_of(a);
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = hook->flags);
	int link;

	link = bpf_link_create(prog_fd, ifindex_of(a), hook->tcx, &opts);
	if (link < 0 && errno == EINVAL) /* no tcx */
		return clsact_attach(a, prog_fd);
	if (link < 0)
		return fail(-errno, "can't attach to '%s'", a->name);
	debug("attached to '%s' by a tcx link", a->name);
	*ret_link = link;
	return 0;
}

int tc_attach(struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	_cleanup_fd_ int link = -1;
	int error = tc_attach_link(a, prog_fd, &link);

	if (error)
		return error;
	if (link >= 0 && bpf_obj_pin(link, link_pin))
		return fail(-errno, "can't pin the link of '%s' at %s", a->name, link_pin);
	return 0;
}

int tc_detach_link(const struct shunt_attachment *a, int prog_fd, int *link)
{
	/* When a link is only closed, a worker thread of the kernel detaches it later. */
	if (*link >= 0) {
		bpf_link_detach(*link);
		close(take_fd(link));
	}
	return a->clsact ? clsact_detach(a, prog_fd) : 0;
}

int tc_detach(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	int link = detach_tcx(a, link_pin);
	int clsact = a->clsact ? clsact_detach(a, prog_fd) : 0;

	return link ? link : clsact;
}

int tc_is_attached(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	int found;

	if (!a->clsact)
		return is_linked(a, prog_fd, link_pin);
	found = clsact_has_filter(a, prog_fd);
	return found < 0 && !is_shortage(found) ? 0 : found;
}

bool tc_has_moved_away(const struct shunt_attachment *a, const char *link_pin)
{
	__u32 ifindex;

	return !a->clsact && !link_ifindex(link_pin, &ifindex) && ifindex;
}

bool tc_has_tcx(int ifindex)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS;

	return !bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &n) || errno != EINVAL;
}

int tc_count_foreign(int ifindex)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS;
	int count, error;

	error = clsact_count_foreign(ifindex, &count);
	if (error)
		return error;
	if (bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &n))
		return errno == EINVAL ? count : -errno; /* EINVAL: no tcx */
	while (n--)
		count += program_is_named(ids[n], OUR_NAMES) == 0;
	return count;
}

int tc_remove_orphans(int ifindex, const char *name)
{
	int error;

	if (tc_has_tcx(ifindex))
		return 0; /* the kernel removes a tcx link with its process */
	error = clsact_remove_orphans(ifindex, name, ATTACH_MONITOR_OUT);
	return error ? error : clsact_remove_orphans(ifindex, name, ATTACH_MONITOR_IN);
}
