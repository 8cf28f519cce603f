// SPDX-License-Identifier: GPL-2.0-only
#include "attach/route_lookup.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#include <shunt/abi.h>
#include "util/rtnl.h"

struct route {
	__u32 ifindex; /* 0: none */
	__u8 type;     /* RTN_UNICAST … */
};

static int read_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct route *route = data;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	route->type = rtm->rtm_type;
	route->ifindex = rtnl_u32(nlh, sizeof(*rtm), RTA_OIF);
	return MNL_CB_OK;
}

static int get_route(int family, const __u8 addr[16], struct route *route)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	int bytes = family == AF_INET ? 4 : 16;

	nlh->nlmsg_type = RTM_GETROUTE;
	rtm->rtm_family = (unsigned char)family;
	rtm->rtm_dst_len = (unsigned char)(8 * bytes);
	mnl_attr_put(nlh, RTA_DST, bytes, addr);
	return rtnl_request(nlh, read_route, route);
}

int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex)
{
	struct route route = { .ifindex = 0 };
	int error = get_route(family, addr, &route);

	if (error)
		return error;
	if (route.type == RTN_LOCAL)
		route.ifindex = LOOPBACK_IFINDEX;
	if (!route.ifindex)
		return -ENETUNREACH;
	*ret_ifindex = route.ifindex;
	return 0;
}

bool route_is_broadcast(int family, const __u8 addr[16])
{
	struct route route = { .ifindex = 0 };

	return !get_route(family, addr, &route) && route.type == RTN_BROADCAST;
}
