// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching to an interface's ingress or egress. A tcx link is the program's
 * alone and leaves with its pin. Before Linux 6.6 there is only the clsact
 * qdisc, which anybody may use: what we made there is told by its place and its
 * program.
 */
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
	/* Unlinking alone detaches some time later, from a work queue. */
	if (link >= 0)
		bpf_link_detach(link);
	if (unlink(link_pin) && errno != ENOENT)
		return fail(-errno, "can't detach from '%s': %s", a->name, link_pin);
	return 0;
}

/* The interface that a link holds, by its index in whatever namespace it is; 0
 * if there is none. Returns 0 or -errno. */
static int linked_to(const char *link_pin, __u32 *ret)
{
	_cleanup_fd_ int link = bpf_obj_get(link_pin);
	struct bpf_link_info info = { .type = 0 };
	__u32 len = sizeof(info);

	*ret = 0;
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		return -errno;
	/* tcx.ifindex, which 6.1's headers lack, lies where xdp.ifindex does;
	 * it is 0 once the link is dead. */
	*ret = info.xdp.ifindex;
	return 0;
}

/* Asked of the interface, too: a link goes with one that moves to another
 * namespace. */
static int is_linked(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS, ifindex;
	int there = linked_to(link_pin, &ifindex);

	if (there || ifindex != a->ifindex)
		return there;
	if (bpf_prog_query(ifindex_of(a), hook_of(a)->tcx, 0, NULL, ids, &n))
		return is_shortage(-errno) ? -errno : 0;
	while (n-- && !there)
		there = program_is_own(a, ids[n], prog_fd);
	return there;
}

int tc_attach_link(struct shunt_attachment *a, int prog_fd, int *ret_link)
{
	const struct hook *hook = hook_of(a);
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = hook->flags);
	int link;

	link = bpf_link_create(prog_fd, ifindex_of(a), hook->tcx, &opts);
	if (link < 0 && errno == EINVAL)
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

	if (!error && link >= 0 && bpf_obj_pin(link, link_pin))
		return fail(-errno, "can't pin the link of '%s' at %s", a->name, link_pin);
	return error;
}

int tc_detach_link(const struct shunt_attachment *a, int prog_fd, int *link)
{
	/* Closing alone detaches some time later, from a work queue. */
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

int tc_attached(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	int found = a->clsact ? clsact_find(a, prog_fd) : 0;

	if (a->clsact)
		return found < 0 && !is_shortage(found) ? 0 : found;
	return is_linked(a, prog_fd, link_pin);
}

bool tc_away(const struct shunt_attachment *a, const char *link_pin)
{
	__u32 ifindex;

	return !a->clsact && !linked_to(link_pin, &ifindex) && ifindex;
}

bool tc_links(int ifindex)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS;

	return !bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &n) || errno != EINVAL;
}

int tc_foreign(int ifindex)
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

int tc_sweep(int ifindex, const char *name)
{
	int error;

	if (tc_links(ifindex))
		return 0; /* they die with their process */
	error = clsact_sweep(ifindex, name, ATTACH_MONITOR_OUT);
	return error ? error : clsact_sweep(ifindex, name, ATTACH_MONITOR_IN);
}
