// SPDX-License-Identifier: GPL-2.0-only
#include "attach/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "util/array.h"
#include "util/log.h"
#include "util/rtnl.h"

#define CHAIN_MAX 8 /* MAX_NEST_DEV of include/linux/netdevice.h */

static void copy_string(char to[IF_NAMESIZE], const struct nlattr *attr)
{
	if (attr)
		snprintf(to, IF_NAMESIZE, "%.*s", (int)mnl_attr_get_payload_len(attr),
			 mnl_attr_get_str(attr));
}

/* Copies the attribute of that type out of IFLA_LINKINFO; leaves `to` as it is if there is none. */
static void copy_kind(char to[IF_NAMESIZE], const struct nlattr *info, int type)
{
	const struct nlattr *attr;

	if (!info)
		return;
	mnl_attr_for_each_nested(attr, info)
		if (mnl_attr_get_type(attr) == type)
			copy_string(to, attr);
}

static int see_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(nlh);
	struct link new = { .ifindex = header->ifi_index }, *larger;
	const struct nlattr *info = rtnl_attr(nlh, sizeof(*header), IFLA_LINKINFO);
	char kind[IF_NAMESIZE] = "";
	struct links *l = data;

	new.master = rtnl_u32(nlh, sizeof(*header), IFLA_MASTER);
	copy_string(new.name, rtnl_attr(nlh, sizeof(*header), IFLA_IFNAME));
	/* the kernel names the kind of the master in the message of the port */
	copy_kind(new.kind, info, IFLA_INFO_SLAVE_KIND);
	copy_kind(kind, info, IFLA_INFO_KIND);
	/* IFLA_LINK_NETNSID: the interface below is in another namespace */
	if (!strcmp(kind, "macvlan") && !rtnl_attr(nlh, sizeof(*header), IFLA_LINK_NETNSID))
		new.parent = rtnl_u32(nlh, sizeof(*header), IFLA_LINK);
	larger = realloc(l->all, (l->count + 1) * sizeof(*l->all));
	if (!larger)
		return MNL_CB_ERROR;
	l->all = larger;
	l->all[l->count++] = new;
	return MNL_CB_OK;
}

static int compare_ifindex(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

/* Sorts the interfaces and removes doubles: a dump that was read again has some of them twice. */
static void sort_links(struct links *l)
{
	size_t i, kept = 0;

	sort_array(l->all, l->count, sizeof(*l->all), compare_ifindex);
	for (i = 0; i < l->count; i++)
		if (!kept || l->all[kept - 1].ifindex != l->all[i].ifindex)
			l->all[kept++] = l->all[i];
	l->count = kept;
}

int links_read(struct links *ret)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct links l = { .all = NULL };
	int error;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	error = rtnl_request(nlh, see_link, &l);
	if (error) {
		links_free(&l);
		return fail(error, "can't list the interfaces");
	}
	sort_links(&l);
	*ret = l;
	return 0;
}

void links_free(struct links *l)
{
	free(l->all);
	*l = (struct links){ .all = NULL };
}

const struct link *links_find(const struct links *l, __u32 ifindex)
{
	const struct link wanted = { .ifindex = ifindex };

	return search_array(&wanted, l->all, l->count, sizeof(*l->all), compare_ifindex);
}

const struct link *link_master(const struct links *l, const struct link *port)
{
	return port->master && strcmp(port->kind, "vrf") ? links_find(l, port->master) : NULL;
}

const struct link *link_vrf(const struct links *l, const struct link *port)
{
	return port->master && !strcmp(port->kind, "vrf") ? links_find(l, port->master) : NULL;
}

const struct link *link_top(const struct links *l, const struct link *port)
{
	const struct link *top = NULL, *next = link_master(l, port);
	int i;

	for (i = 0; next && i < CHAIN_MAX; i++) {
		top = next;
		next = link_master(l, top);
	}
	return top;
}

const char *port_text(char text[PORT_TEXT], const struct links *l, const struct link *port)
{
	const struct link *master = link_master(l, port);

	snprintf(text, PORT_TEXT, "a port of %s%s%s'%s'", *port->kind ? "the " : "", port->kind,
		 *port->kind ? " " : "", master ? master->name : "?");
	return text;
}
