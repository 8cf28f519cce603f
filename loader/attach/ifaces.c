// SPDX-License-Identifier: GPL-2.0-only
#include "attach/ifaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/iface_names.h"
#include "attach/links.h"
#include "attach/local_origin.h"
#include "attach/mark_rules.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"

bool attachments_have_ifaces(const struct shunt_attachment *attachments)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_PATTERN || attachment_is_iface(&attachments[i]))
			return true;
	return false;
}

static bool is_gone(__u32 ifindex)
{
	char name[IF_NAMESIZE];

	return !iface_name(ifindex, name);
}

/* Whether a pattern named the interface of the entry, and the interface is a port now. */
static bool has_become_port(const struct links *links, const struct shunt_attachment *a)
{
	const struct link *port = links_find(links, a->ifindex);

	return a->by_pattern && port && link_master(links, port);
}

static void detach_from_port(const struct links *links, struct shunt_attachment *attachments,
			     unsigned int i)
{
	char text[PORT_TEXT];

	if (attachments[i].kind == ATTACH_IFACE)
		say("'%s' is %s now: detached", attachments[i].name,
		    port_text(text, links, links_find(links, attachments[i].ifindex)));
	detach(attachments, i);
}

/* Attaches a clsact filter again: any program may remove the qdisc, and the filter with it. No
 * other program can remove a tcx link. */
static int restore_filter(struct shunt_attachment *attachments, unsigned int i)
{
	int found = attachments[i].clsact ? is_attached(attachments, i) : 1, error;

	if (found < 0)
		return fail(found, "can't look at what is attached to '%s'", attachments[i].name);
	if (found)
		return 0;
	error = attach(attachments, i);
	if (error)
		return error;
	say("attached again to '%s': somebody had removed the filter", attachments[i].name);
	return 0;
}

/* Detaches from an interface that is gone: it may have moved to another namespace, with the
 * program. An entry whose interface the user named stays, and waits for that name. */
static int leave_iface(struct shunt_attachment *attachments, unsigned int i)
{
	const struct shunt_attachment *a = &attachments[i];

	debug("'%s' is gone", a->name);
	return a->by_pattern || a->kind == ATTACH_LOCAL_OUT ? detach(attachments, i)
							    : detach_keep_entry(attachments, i);
}

/* Brings one entry up to date. Returns 0, or -errno after reporting it. */
static int track_iface(const struct links *links, struct shunt_attachment *attachments,
		       unsigned int i)
{
	const struct shunt_attachment *a = &attachments[i];
	char name[IF_NAMESIZE];
	int found = iface_name(a->ifindex, name);

	if (found < 0)
		return fail(found, "can't look at interface '%s'", a->name);
	if (!found)
		return leave_iface(attachments, i);
	if (!has_become_port(links, a))
		return restore_filter(attachments, i);
	detach_from_port(links, attachments, i);
	return 0;
}

static int track_ifaces(const struct links *links, struct shunt_attachment *attachments,
			const bool served[HALVES])
{
	int i, error, first = 0;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!attachment_is_iface(&attachments[i]) || !attachments[i].ifindex ||
		    !served[attachment_half(&attachments[i])])
			continue;
		error = track_iface(links, attachments, i);
		first = first ? first : error;
	}
	return first;
}

/* Whether the program of the entry fits the interface of that name: NAT has two, with and without
 * link layer headers, and an interface that was made again may need the other. */
static bool matches_link_type(const struct shunt_attachment *a)
{
	struct shunt_attachment both[2];

	return !attachment_is_nat(a) || (!nat_attachments(a->name, both) &&
					 (both[0].kind == a->kind || both[1].kind == a->kind));
}

/* Attaches the programs whose entries wait for an interface of that name. */
static int reattach_waiting(struct shunt_attachment *attachments, const struct link *iface,
			    const bool served[HALVES])
{
	bool any = false;
	int i, error = 0;

	for (i = 0; i < SHUNT_ATTACHMENTS && !error; i++) {
		struct shunt_attachment *a = &attachments[i];

		if (!attachment_is_iface(a) || a->ifindex || strcmp(a->name, iface->name) ||
		    !served[attachment_half(a)] || !matches_link_type(a))
			continue;
		error = attach_waiting(attachments, i, iface->ifindex);
		any |= !error;
	}
	if (any)
		say("attached to '%s'", iface->name);
	return error;
}

/* The entry of steering at this interface; NULL if there is none. */
static const struct shunt_attachment *find_steering(const struct shunt_attachment *attachments,
						    __u32 ifindex)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE && attachments[i].ifindex == ifindex)
			return &attachments[i];
	return NULL;
}

bool iface_matches_pattern(const struct shunt_attachment *attachments, const struct link *iface)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS && iface->ifindex != LOOPBACK_IFINDEX; i++)
		if (attachments[i].kind == ATTACH_PATTERN &&
		    !fnmatch(attachments[i].name, iface->name, 0))
			return true;
	return false;
}

/* Whether steering has to be attached to the interface because of a pattern. */
static bool is_wanted(const struct shunt_attachment *attachments, const struct links *links,
		      const struct link *iface)
{
	return iface_matches_pattern(attachments, iface) && !link_master(links, iface);
}

static int attach_by_pattern(struct shunt_attachment *attachments, const struct links *links,
			     const struct link *iface)
{
	struct shunt_attachment wanted = { .kind = ATTACH_IFACE,
					   .ifindex = iface->ifindex,
					   .by_pattern = 1 };
	int error;

	if (!is_wanted(attachments, links, iface) || find_steering(attachments, iface->ifindex) ||
	    attachment_find(attachments, ATTACH_IFACE, iface->name))
		return 0;
	strcpy(wanted.name, iface->name);
	error = attach_new(attachments, &wanted);
	if (error)
		return error;
	say("attached to '%s'", wanted.name);
	return 0;
}

static int attach_to_iface(struct shunt_attachment *attachments, const struct links *links,
			   const struct link *iface, const bool served[HALVES])
{
	int error = reattach_waiting(attachments, iface, served);

	if (error || !served[HALF_STEER])
		return error;
	return attach_by_pattern(attachments, links, iface);
}

/* Moves rules to the present index of their interface, which may have been made again. */
static int rebind_rules(void)
{
	int error = rules_open();

	if (error)
		return error;
	error = rules_rebind();
	rules_close();
	return error;
}

int ifaces_sync(const struct shunt_conf *steer, struct shunt_attachment *attachments)
{
	_cleanup_(links_free) struct links links = { .all = NULL };
	int error = links_read(&links), first = 0;
	bool served[HALVES];
	size_t i;

	if (error)
		return error;
	for (i = 0; i < HALVES; i++)
		served[i] = i == HALF_STEER ? steer != NULL : half_is_loaded(i) > 0;
	error = attachments_take_names(&links, attachments);
	first = track_ifaces(&links, attachments, served);
	first = error < 0 ? error : first;
	for (i = 0; i < links.count; i++) {
		error = attach_to_iface(attachments, &links, &links.all[i], served);
		if (error && !is_gone(links.all[i].ifindex)) /* gone meanwhile: no error */
			first = first ? first : error;
	}
	if (!steer)
		return first;
	error = steer->run.local ? local_origin_attach(attachments) : 0;
	first = first ? first : error;
	error = rebind_rules();
	return first ? first : error;
}

/* Steering at the interface below does not see packets for the macvlan: to the interface below, the
 * MAC address of the macvlan is that of another host. */
static void warn_macvlans(const struct shunt_attachment *attachments, const struct links *links,
			  const struct link *below)
{
	const struct link *l;
	size_t i;

	for (i = 0; i < links->count; i++) {
		l = &links->all[i];
		if (l->parent == below->ifindex && !find_steering(attachments, l->ifindex))
			warn("packets to the MAC address of '%s' match no rule at '%s' below it: "
			     "name '%s', too",
			     l->name, below->name, l->name);
	}
}

static void warn_vrf(const struct links *links, const struct link *member)
{
	const struct link *vrf = link_vrf(links, member);

	if (vrf)
		warn("'%s' is in the VRF '%s', and the kernel shows tc no socket of a VRF: its packets "
		     "find no listener, and pass; use TPROXY there",
		     member->name, vrf->name);
}

void ifaces_warn_topology(void)
{
	const struct shunt_attachment *attachments = attachments_map();
	_cleanup_(links_free) struct links links = { .all = NULL };
	const struct link *port, *top;
	char text[PORT_TEXT];
	int i;

	if (!attachments || links_read(&links))
		return;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		port = attachments[i].kind == ATTACH_IFACE
			       ? links_find(&links, attachments[i].ifindex)
			       : NULL;
		top = port ? link_top(&links, port) : NULL;
		if (top)
			warn("'%s' is %s, where its packets come as well: name '%s' instead",
			     port->name, port_text(text, &links, port), top->name);
		if (!port)
			continue;
		warn_vrf(&links, port);
		warn_macvlans(attachments, &links, port);
	}
}

/* Whether the supervisor is about to attach to the interface. */
static bool is_due(const struct shunt_attachment *attachments, const struct links *links,
		   __u32 ifindex)
{
	const struct link *iface = links_find(links, ifindex);

	return iface && is_wanted(attachments, links, iface) && supervisor_is_running(HALF_STEER);
}

/* Whether steering is attached where the rule's packets pass, or is about to be. */
static bool has_effect(const struct shunt_attachment *attachments, const struct links *links,
		       const struct shunt_rule *r)
{
	int i;

	if (!rule_is_local(r))
		return !*r->ifname || find_steering(attachments, r->ifindex) ||
		       is_due(attachments, links, r->ifindex);
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE && attachments[i].ifindex)
			return true;
	return false;
}

static void warn_idle_rule(const struct links *links, const struct shunt_rule *r)
{
	const struct link *iface = links_find(links, r->ifindex);
	const struct link *top = iface ? link_top(links, iface) : NULL;
	char text[PORT_TEXT];

	if (rule_is_local(r))
		warn("a rule with 'origin local' has no effect until shunt is attached to an "
		     "interface");
	else if (r->ifindex == SHUNT_NO_IFINDEX)
		warn("a rule waits: there is no interface '%s' yet", r->ifname);
	else if (top)
		warn("a rule has no effect at '%s', %s: give it 'iface %s'", r->ifname,
		     port_text(text, links, iface), top->name);
	else
		warn("a rule has no effect until shunt is attached to '%s'", r->ifname);
}

/* Whether a rule is for one interface. */
static bool has_iface_rule(const struct shunt_rule *const *rules, __u32 count)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (*rules[i]->ifname && !rule_is_local(rules[i]))
			return true;
	return false;
}

void ifaces_warn_idle_rules(const struct shunt_rule *const *rules, __u32 count)
{
	const struct shunt_attachment *attachments = attachments_map();
	_cleanup_(links_free) struct links links = { .all = NULL };
	const struct shunt_rule *first = NULL;
	__u32 i, last = 0, idle = 0;
	bool effective = true;

	if (!attachments || (has_iface_rule(rules, count) && links_read(&links)))
		return;
	for (i = 0; i < count; i++) {
		if (rules[i]->ifindex != last)
			effective = has_effect(attachments, &links, rules[i]);
		last = rules[i]->ifindex;
		if (!effective && !idle++)
			first = rules[i];
	}
	if (idle == 1)
		warn_idle_rule(&links, first);
	else if (idle)
		warn("%u rules have no effect until shunt is attached to their interfaces, such "
		     "as %s",
		     idle, rule_is_local(first) ? "any for 'origin local'" : first->ifname);
}

#define TYPE_IS(type, then, otherwise) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(type), then, otherwise)

/* Of messages about routes, keeps only removals of shunt's own: on an internet router thousands of
 * routes change in a second. Of messages about tc, keeps only removals. TYPE_IS() swaps the bytes,
 * because a socket filter loads in network byte order, and messages are in host byte order. */
static int filter_messages(int fd)
{
	enum {
		TYPE = offsetof(struct nlmsghdr, nlmsg_type),
		PROTOCOL = sizeof(struct nlmsghdr) + offsetof(struct rtmsg, rtm_protocol)
	};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE),
		TYPE_IS(RTM_NEWROUTE, 5, 0),
		TYPE_IS(RTM_NEWQDISC, 4, 0),
		TYPE_IS(RTM_NEWTFILTER, 3, 0),
		TYPE_IS(RTM_DELROUTE, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, PROTOCOL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ROUTE_PROTOCOL, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(*code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int join_group(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
}

int ifaces_watch(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_ROUTE);

	if (fd < 0 || filter_messages(fd) || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    join_group(fd, RTNLGRP_LINK))
		return -errno;
	join_group(fd, RTNLGRP_IPV4_RULE);
	join_group(fd, RTNLGRP_IPV4_ROUTE);
	join_group(fd, RTNLGRP_IPV6_RULE);
	join_group(fd, RTNLGRP_IPV6_ROUTE);
	if (!tc_has_tcx(LOOPBACK_IFINDEX))
		join_group(fd, RTNLGRP_TC);
	return take_fd(&fd);
}

bool ifaces_changed(int watch)
{
	char bytes[8192];
	bool changed = false;

	/* ENOBUFS: the kernel lost messages for want of room */
	while (recv(watch, bytes, sizeof(bytes), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		changed = true;
	return changed;
}
