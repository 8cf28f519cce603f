// SPDX-License-Identifier: GPL-2.0-only
#include "attach/ifaces.h"

#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "attach/attach.h"
#include "attach/local_origin.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "nat/nat_attach.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"

#define LOOPBACK 1 /* LOOPBACK_IFINDEX, whatever its name: include/net/flow.h */

bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[");
}

bool ifaces_wanted(const struct shunt_state *states)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_PATTERN || tc_program(&states[i]))
			return true;
	return false;
}

static bool is_gone(const struct shunt_state *s)
{
	char name[IF_NAMESIZE];

	return !if_indextoname(s->ifindex, name);
}

/* An interface that the user named keeps that name here, and is waited for
 * when it is gone. It may have moved to another namespace, with the program. */
static void follow(struct shunt_state *states, unsigned int i)
{
	struct shunt_state *s = &states[i];
	char name[IF_NAMESIZE];

	if (if_indextoname(s->ifindex, name)) {
		if (s->found)
			strcpy(s->name, name);
		return;
	}
	debug("'%s' is gone", s->name);
	if (s->found || s->kind == SHUNT_LOCAL_OUT)
		detach(states, i);
	else
		let_go(states, i);
}

static void follow_all(struct shunt_state *states)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (tc_program(&states[i]) && states[i].ifindex)
			follow(states, i);
}

/* An interface made anew may be of a kind that takes another program. */
static bool fits(const struct shunt_state *s)
{
	struct shunt_state both[2];

	return !nat_is(s) || (!nat_states(s->name, both) &&
			      (both[0].kind == s->kind || both[1].kind == s->kind));
}

/* Attaches what waits for an interface of that name. */
static int come_back(struct shunt_state *states, const struct if_nameindex *iface)
{
	bool any = false;
	int i, error = 0;

	for (i = 0; i < SHUNT_STATES && !error; i++) {
		struct shunt_state *s = &states[i];

		if (!tc_program(s) || s->ifindex || strcmp(s->name, iface->if_name) || !fits(s))
			continue;
		s->ifindex = iface->if_index;
		error = attach(states, i);
		if (error)
			let_go(states, i);
		else
			any = true;
	}
	if (any)
		say("attached to '%s'", iface->if_name);
	return error;
}

static const struct shunt_state *at_index(const struct shunt_state *states, __u32 ifindex)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_IFACE && states[i].ifindex == ifindex)
			return &states[i];
	return NULL;
}

static bool is_wanted(const struct shunt_state *states, const char *name, __u32 ifindex)
{
	int i;

	for (i = 0; i < SHUNT_STATES && ifindex != LOOPBACK; i++)
		if (states[i].kind == SHUNT_PATTERN && !fnmatch(states[i].name, name, 0))
			return true;
	return false;
}

static int see_iface(struct shunt_state *states, const struct if_nameindex *iface)
{
	struct shunt_state wanted = { .kind = SHUNT_IFACE, .ifindex = iface->if_index, .found = 1 };
	int error = come_back(states, iface);

	strcpy(wanted.name, iface->if_name);
	if (!error && is_wanted(states, iface->if_name, iface->if_index) &&
	    !at_index(states, iface->if_index) && !state_find(states, SHUNT_IFACE, iface->if_name)) {
		error = attach_new(states, &wanted);
		if (!error)
			say("attached to '%s'", wanted.name);
	}
	return error && is_gone(&wanted) ? 0 : error;
}

int ifaces_sync(const struct shunt_conf *conf, struct shunt_state *states)
{
	struct if_nameindex *list, *i;
	int error, first = 0;

	follow_all(states);
	list = if_nameindex();
	if (!list)
		return fail(-errno, "can't list the interfaces");
	for (i = list; i->if_index; i++) {
		error = see_iface(states, i);
		first = first ? first : error;
	}
	if_freenameindex(list);
	error = conf->local ? local_attach(states) : 0;
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

/* Is steering attached where the rule's packets pass, or will be in a moment? */
static bool is_served(const struct shunt_state *states, const struct shunt_rule *r)
{
	int i;

	if (!rule_is_local(r))
		return !*r->ifname || at_index(states, r->ifindex) ||
		       (is_wanted(states, r->ifname, r->ifindex) && supervisor_runs());
	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_IFACE && states[i].ifindex)
			return true;
	return false;
}

void ifaces_warn(const struct shunt_rule *const *rules, __u32 count)
{
	const struct shunt_state *states = pin_mmap("shunt_state", NULL);
	const struct shunt_rule *first = NULL;
	__u32 i, last = 0, idle = 0;
	bool served = true;

	for (i = 0; states && i < count; i++) {
		if (rules[i]->ifindex != last)
			served = is_served(states, rules[i]);
		last = rules[i]->ifindex;
		if (!served && !idle++)
			first = rules[i];
	}
	if (idle == 1 && rule_is_local(first))
		warn("a rule with 'origin local' has no effect until shunt is attached to an "
		     "interface");
	else if (idle == 1 && first->ifindex == SHUNT_NO_IFINDEX)
		warn("a rule waits: there is no interface '%s' yet", first->ifname);
	else if (idle == 1)
		warn("a rule has no effect until shunt is attached to '%s'", first->ifname);
	else if (idle)
		warn("%u rules have no effect until shunt is attached to their interfaces, such "
		     "as %s", idle, rule_is_local(first) ? "any for 'origin local'" : first->ifname);
}

int ifaces_watch(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_RULE,
	};
	int v6 = RTNLGRP_IPV6_RULE;
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&groups, sizeof(groups)))
		return -errno;
	setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v6, sizeof(v6));
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
