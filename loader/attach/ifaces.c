// SPDX-License-Identifier: GPL-2.0-only
#include "attach/ifaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/links.h"
#include "attach/local_origin.h"
#include "attach/loopback.h"
#include "attach/mark_rules.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"

bool ifaces_wanted(const struct shunt_attachment *attachments)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_PATTERN || attachment_is_iface(&attachments[i]))
			return true;
	return false;
}

static bool is_gone(const struct shunt_attachment *s)
{
	char name[IF_NAMESIZE];

	return !iface_name(s->ifindex, name);
}

/* Is this an interface that a pattern named, and that is the port of another now? */
static bool became_port(const struct links *links, const struct shunt_attachment *s)
{
	const struct link *port = links_at(links, s->ifindex);

	return s->by_pattern && port && link_master(links, port);
}

static void leave_port(const struct links *links, struct shunt_attachment *attachments,
		       unsigned int i)
{
	char text[PORT_TEXT];

	if (attachments[i].kind == ATTACH_IFACE)
		say("'%s' is %s now: detached", attachments[i].name,
		    port_text(text, links, links_at(links, attachments[i].ifindex)));
	detach(attachments, i);
}

/* A filter of clsact goes with the qdisc, which any program may remove. A link does not. */
static int restore_filter(struct shunt_attachment *attachments, unsigned int i)
{
	int error = attachments[i].clsact ? attached(attachments, i) : 1;

	if (error < 0)
		return fail(error, "can't look at what is attached to '%s'", attachments[i].name);
	if (error)
		return 0;
	error = attach(attachments, i);
	if (!error)
		say("attached again to '%s': somebody had removed the filter", attachments[i].name);
	return error;
}

/* An interface that the user named keeps that name here, and is waited for
 * when it is gone. It may have moved to another namespace, with the program. 0 or
 * -errno, reported. */
static int track_iface(const struct links *links, struct shunt_attachment *attachments,
		       unsigned int i)
{
	struct shunt_attachment *s = &attachments[i];
	char name[IF_NAMESIZE];
	int there = iface_name(s->ifindex, name);

	if (there < 0)
		return fail(there, "can't look at interface '%s'", s->name);
	if (there) {
		if (s->by_pattern)
			strcpy(s->name, name);
		if (became_port(links, s))
			leave_port(links, attachments, i);
		else
			return restore_filter(attachments, i);
		return 0;
	}
	debug("'%s' is gone", s->name);
	return s->by_pattern || s->kind == ATTACH_LOCAL_OUT ? detach(attachments, i)
							    : detach_keep_entry(attachments, i);
}

static int track_ifaces(const struct links *links, struct shunt_attachment *attachments)
{
	int i, error, first = 0;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (!attachment_is_iface(&attachments[i]) || !attachments[i].ifindex)
			continue;
		error = track_iface(links, attachments, i);
		first = first ? first : error;
	}
	return first;
}

/* An interface made anew may be of a kind that takes another program. */
static bool matches_link_type(const struct shunt_attachment *s)
{
	struct shunt_attachment both[2];

	return !attachment_is_nat(s) || (!nat_attachments(s->name, both) &&
					 (both[0].kind == s->kind || both[1].kind == s->kind));
}

/* Attaches what waits for an interface of that name. */
static int reattach_waiting(struct shunt_attachment *attachments, const struct link *iface)
{
	bool any = false;
	int i, error = 0;

	for (i = 0; i < SHUNT_ATTACHMENTS && !error; i++) {
		struct shunt_attachment *s = &attachments[i];

		if (!attachment_is_iface(s) || s->ifindex || strcmp(s->name, iface->name) ||
		    !matches_link_type(s))
			continue;
		s->ifindex = iface->ifindex;
		error = attach(attachments, i);
		if (error)
			detach_keep_entry(attachments, i);
		else
			any = true;
	}
	if (any)
		say("attached to '%s'", iface->name);
	return error;
}

static const struct shunt_attachment *at_index(const struct shunt_attachment *attachments,
					       __u32 ifindex)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE && attachments[i].ifindex == ifindex)
			return &attachments[i];
	return NULL;
}

bool ifaces_match(const struct shunt_attachment *attachments, const struct link *iface)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS && iface->ifindex != LOOPBACK_IFINDEX; i++)
		if (attachments[i].kind == ATTACH_PATTERN &&
		    !fnmatch(attachments[i].name, iface->name, 0))
			return true;
	return false;
}

static bool is_wanted(const struct shunt_attachment *attachments, const struct links *links,
		      const struct link *iface)
{
	return ifaces_match(attachments, iface) && !link_master(links, iface);
}

static int attach_found_iface(struct shunt_attachment *attachments, const struct links *links,
			      const struct link *iface)
{
	struct shunt_attachment wanted = { .kind = ATTACH_IFACE,
					   .ifindex = iface->ifindex,
					   .by_pattern = 1 };
	int error = reattach_waiting(attachments, iface);

	strcpy(wanted.name, iface->name);
	if (!error && is_wanted(attachments, links, iface) &&
	    !at_index(attachments, iface->ifindex) &&
	    !attachment_find(attachments, ATTACH_IFACE, iface->name)) {
		error = attach_new(attachments, &wanted);
		if (!error)
			say("attached to '%s'", wanted.name);
	}
	return error && is_gone(&wanted) ? 0 : error;
}

int ifaces_sync(const struct shunt_conf *conf, struct shunt_attachment *attachments)
{
	_cleanup_(links_free) struct links links = { .all = NULL };
	int error = links_read(&links), first = 0;
	size_t i;

	if (error)
		return error;
	first = track_ifaces(&links, attachments);
	for (i = 0; i < links.count; i++) {
		error = attach_found_iface(attachments, &links, &links.all[i]);
		first = first ? first : error;
	}
	error = conf->run.local ? local_origin_attach(attachments) : 0;
	first = first ? first : error;
	if (!conf->mark) /* no steering */
		return first;
	error = rules_open();
	if (error)
		return first ? first : error;
	error = rules_rebind();
	rules_close();
	return first ? first : error;
}

/* Frames for a macvlan's own MAC address are another host's at the interface below. */
static void warn_macvlans(const struct shunt_attachment *attachments, const struct links *links,
			  const struct link *below)
{
	const struct link *l;
	size_t i;

	for (i = 0; i < links->count; i++) {
		l = &links->all[i];
		if (l->parent == below->ifindex && !at_index(attachments, l->ifindex))
			warn("what is sent to the MAC address of '%s' meets no rule at '%s' below it: "
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

void ifaces_warn_ports(void)
{
	const struct shunt_attachment *attachments = pin_mmap("shunt_attachment", NULL);
	_cleanup_(links_free) struct links links = { .all = NULL };
	const struct link *port, *top;
	char text[PORT_TEXT];
	int i;

	if (!attachments || links_read(&links))
		return;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		port = attachments[i].kind == ATTACH_IFACE
			       ? links_at(&links, attachments[i].ifindex)
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

/* Will the supervisor attach to the interface in a moment? */
static bool is_due(const struct shunt_attachment *attachments, const struct links *links,
		   __u32 ifindex)
{
	const struct link *iface = links_at(links, ifindex);

	return iface && is_wanted(attachments, links, iface) && supervisor_is_running();
}

/* Is steering attached where the rule's packets pass, or will be in a moment? */
static bool is_served(const struct shunt_attachment *attachments, const struct links *links,
		      const struct shunt_rule *r)
{
	int i;

	if (!rule_is_local(r))
		return !*r->ifname || at_index(attachments, r->ifindex) ||
		       is_due(attachments, links, r->ifindex);
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE && attachments[i].ifindex)
			return true;
	return false;
}

static void warn_idle(const struct links *links, const struct shunt_rule *r)
{
	const struct link *iface = links_at(links, r->ifindex);
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

static bool names_iface(const struct shunt_rule *const *rules, __u32 count)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (*rules[i]->ifname && !rule_is_local(rules[i]))
			return true;
	return false;
}

void ifaces_warn(const struct shunt_rule *const *rules, __u32 count)
{
	const struct shunt_attachment *attachments = pin_mmap("shunt_attachment", NULL);
	_cleanup_(links_free) struct links links = { .all = NULL };
	const struct shunt_rule *first = NULL;
	__u32 i, last = 0, idle = 0;
	bool served = true;

	if (!attachments || (names_iface(rules, count) && links_read(&links)))
		return;
	for (i = 0; i < count; i++) {
		if (rules[i]->ifindex != last)
			served = is_served(attachments, &links, rules[i]);
		last = rules[i]->ifindex;
		if (!served && !idle++)
			first = rules[i];
	}
	if (idle == 1)
		warn_idle(&links, first);
	else if (idle)
		warn("%u rules have no effect until shunt is attached to their interfaces, such "
		     "as %s",
		     idle, rule_is_local(first) ? "any for 'origin local'" : first->ifname);
}

#define TYPE_IS(type, then, otherwise) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(type), then, otherwise)

/* Of routes just the removal of our own, as a router of the internet's has thousands of
 * changes a second; of tc just what was removed. Messages are in the byte order of the host,
 * filters in that of the network. */
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

static int join(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
}

int ifaces_watch(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_ROUTE);

	if (fd < 0 || filter_messages(fd) || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    join(fd, RTNLGRP_LINK))
		return -errno;
	join(fd, RTNLGRP_IPV4_RULE);
	join(fd, RTNLGRP_IPV4_ROUTE);
	join(fd, RTNLGRP_IPV6_RULE);
	join(fd, RTNLGRP_IPV6_ROUTE);
	if (!tc_links(LOOPBACK_IFINDEX))
		join(fd, RTNLGRP_TC);
	return take_fd(&fd);
}

bool ifaces_changed(int watch)
{
	char bytes[8192];
	bool changed = false;

	/* ENOBUFS: more has happened than the kernel could note */
	while (recv(watch, bytes, sizeof(bytes), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		changed = true;
	return changed;
}
