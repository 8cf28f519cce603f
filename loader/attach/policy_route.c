// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy routing over rtnetlink: a packet that carries shunt's mark is
 * delivered here, whatever its destination.
 */
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "attach/policy_route.h"
#include "util/cleanup.h"
#include "util/log.h"

#define RULE_PREFERENCE 99 /* before main, 32766, and where people put their own */
#define ROUTE_PROTOCOL 115 /* 's'; free in rt_protos: tells our rules and routes */
#define LOOPBACK 1         /* LOOPBACK_IFINDEX, whatever its name: include/net/flow.h */

#define DUMP_SIZE 32768 /* the kernel fills no larger buffer: netlink_recvmsg() */
#define DUMP_TRIES 8

/* rtnetlink */

static void close_socket(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

/*
 * NLMSG_ERROR and NLMSG_DONE both begin with an error code. libmnl looks at
 * the first only, and would take a broken dump for a complete one.
 */
static int finish(const struct nlmsghdr *nlh, void *data)
{
	const int *error = mnl_nlmsg_get_payload(nlh);

	(void)data;
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error) || !*error)
		return MNL_CB_STOP;
	errno = -*error;
	return MNL_CB_ERROR;
}

static mnl_cb_t control[] = {
	[NLMSG_ERROR] = finish,
	[NLMSG_DONE] = finish,
};

static int receive(struct mnl_socket *nl, mnl_cb_t cb, void *data)
{
	unsigned int port = mnl_socket_get_portid(nl);
	char buf[DUMP_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len;
	int ret;

	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = mnl_cb_run2(buf, (size_t)len, 0, port, cb, data, control,
				  MNL_ARRAY_SIZE(control));
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

static int request_once(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	_cleanup_(close_socket) struct mnl_socket *nl = NULL;
	int on = 1;

	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	/* Lets the kernel filter a dump. Not all can; cb filters again. */
	mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return receive(nl, cb, data);
}

int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	int tries = DUMP_TRIES, error;

	nlh->nlmsg_flags |= NLM_F_REQUEST;
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	do
		error = request_once(nlh, cb, data);
	while (error == -EINTR && --tries); /* NLM_F_DUMP_INTR, or a signal */
	return error;
}

const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, header)
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static __u32 attr_u32(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr = rtnl_attr(nlh, header, type);

	return attr && !mnl_attr_validate(attr, MNL_TYPE_U32) ? mnl_attr_get_u32(attr) : 0;
}

static __u8 attr_u8(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr = rtnl_attr(nlh, header, type);

	return attr && !mnl_attr_validate(attr, MNL_TYPE_U8) ? mnl_attr_get_u8(attr) : 0;
}

/* The rule and the route */

struct wanted {
	int family;
	__u32 mark;
	__u32 table;
	bool found;
};

static const char *family_name(int family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

static int change_rule(const struct wanted *w, __u16 type, __u16 flags)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	rule->family = (__u8)w->family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, RULE_PREFERENCE);
	mnl_attr_put_u32(nlh, FRA_FWMARK, w->mark);
	mnl_attr_put_u32(nlh, FRA_FWMASK, w->mark);
	mnl_attr_put_u32(nlh, FRA_TABLE, w->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, ROUTE_PROTOCOL);
	return rtnl_request(nlh, NULL, NULL);
}

static struct nlmsghdr *route_message(char *buf, const struct wanted *w)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(nlh, sizeof(*route));

	route->rtm_family = (__u8)w->family;
	route->rtm_type = RTN_LOCAL;
	route->rtm_protocol = ROUTE_PROTOCOL;
	mnl_attr_put_u32(nlh, RTA_TABLE, w->table);
	mnl_attr_put_u32(nlh, RTA_OIF, LOOPBACK);
	return nlh;
}

static int change_route(const struct wanted *w, __u16 type, __u16 flags)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = route_message(buf, w);
	struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	route->rtm_scope = RT_SCOPE_HOST;
	return rtnl_request(nlh, NULL, NULL);
}

static int match_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = data;

	if (rule->family == w->family && rule->action == FR_ACT_TO_TBL &&
	    attr_u32(nlh, sizeof(*rule), FRA_PRIORITY) == RULE_PREFERENCE &&
	    attr_u32(nlh, sizeof(*rule), FRA_FWMARK) == w->mark &&
	    attr_u32(nlh, sizeof(*rule), FRA_FWMASK) == w->mark &&
	    attr_u32(nlh, sizeof(*rule), FRA_TABLE) == w->table &&
	    attr_u8(nlh, sizeof(*rule), FRA_PROTOCOL) == ROUTE_PROTOCOL)
		w->found = true;
	return MNL_CB_OK;
}

static int find_rule(struct wanted *w)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

	nlh->nlmsg_type = RTM_GETRULE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	rule->family = (__u8)w->family;
	w->found = false;
	return rtnl_request(nlh, match_rule, w);
}

static int match_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = data;

	if (route->rtm_family == w->family && !route->rtm_dst_len &&
	    route->rtm_type == RTN_LOCAL && route->rtm_protocol == ROUTE_PROTOCOL &&
	    attr_u32(nlh, sizeof(*route), RTA_TABLE) == w->table &&
	    attr_u32(nlh, sizeof(*route), RTA_OIF) == LOOPBACK)
		w->found = true;
	return MNL_CB_OK;
}

static int find_route(struct wanted *w)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = route_message(buf, w);

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	w->found = false;
	return rtnl_request(nlh, match_route, w);
}

static const struct {
	int family;
	__u32 bit;
} families[] = { { AF_INET, SHUNT_ROUTED_V4 }, { AF_INET6, SHUNT_ROUTED_V6 } };

static bool is_there(const struct shunt_conf *conf, int family)
{
	struct wanted w = { .family = family, .mark = conf->mark, .table = conf->table };

	if (find_rule(&w) || !w.found)
		return false;
	return !find_route(&w) && w.found;
}

bool route_present(const struct shunt_conf *conf)
{
	int i;

	for (i = 0; i < 2; i++)
		if (conf->routed & families[i].bit && !is_there(conf, families[i].family))
			return false;
	return true;
}

/* Adding */

/* A mark of 0, or a table of the kernel's, would swallow all traffic. */
static int check_numbers(__u32 mark, __u32 table)
{
	if (!mark)
		return deny(-EINVAL, "mark 0 is every packet's; choose another with --mark");
	if (!table || (table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL))
		return deny(-EINVAL, "routing table %u is the system's own", table);
	return 0;
}

static int link_flags(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(nlh);
	unsigned int *flags = data;

	*flags = link->ifi_flags;
	return MNL_CB_OK;
}

/* IPv4 takes a local route on a downed lo, and drops the packets. */
static int check_loopback(void)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(nlh, sizeof(*link));
	unsigned int flags = 0;
	int error;

	nlh->nlmsg_type = RTM_GETLINK;
	link->ifi_index = LOOPBACK;
	error = rtnl_request(nlh, link_flags, &flags);
	if (error)
		return fail(error, "can't look at interface 'lo'");
	if (!(flags & IFF_UP))
		return deny(-ENETDOWN, "interface 'lo' is down and can't deliver steered "
				       "packets; bring it up with 'ip link set lo up'");
	return 0;
}

/*
 * EOPNOTSUPP, EAFNOSUPPORT: the kernel has no IPv6, or no policy routing for
 * it; EACCES, ENODEV: lo has none (net/ipv6/route.c, fib6_nh_init()).
 */
static bool is_absent(int family, int error)
{
	return family == AF_INET6 && (error == -EOPNOTSUPP || error == -EAFNOSUPPORT ||
				      error == -EACCES || error == -ENODEV);
}

static int explain_add(const struct wanted *w, int error)
{
	if (is_absent(w->family, error)) {
		debug("IPv6 is off here: steering for IPv4 only");
		return error;
	}
	return fail(error, "can't route mark 0x%x to this host (%s)", w->mark,
		    family_name(w->family));
}

/* 0, or -errno, said unless it is absent. */
static int add_family(int family, __u32 mark, __u32 table)
{
	const struct wanted w = { .family = family, .mark = mark, .table = table };
	int error;

	error = change_route(&w, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	if (error == -EEXIST)
		return deny(error, "routing table %u (%s) is in use, perhaps by another shunt; "
			    "choose another with --table, or 'ip %s route flush table %u'", table,
			    family_name(family), family == AF_INET6 ? "-6" : "-4", table);
	if (error)
		return explain_add(&w, error);
	error = change_rule(&w, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
	if (!error)
		return 0;
	change_route(&w, RTM_DELROUTE, 0);
	if (error == -EEXIST)
		return deny(error, "mark 0x%x is in use by another shunt; "
			    "choose another with --mark", mark);
	return explain_add(&w, error);
}

/* Removing. The kernel compares the protocol too, and leaves others' alone:
 * net/core/fib_rules.c, rule_find(); fib_table_delete(); ip6_route_del(). */

static int del_rule(const struct wanted *w)
{
	int error = change_rule(w, RTM_DELRULE, 0);

	if (error && error != -ENOENT && !is_absent(w->family, error))
		return fail(error, "can't remove the %s rule of mark 0x%x",
			    family_name(w->family), w->mark);
	return 0;
}

static int del_route(const struct wanted *w)
{
	int error = change_route(w, RTM_DELROUTE, 0);

	if (error && error != -ESRCH && !is_absent(w->family, error))
		return fail(error, "can't remove the %s route of table %u",
			    family_name(w->family), w->table);
	return 0;
}

static int del_family(int family, __u32 mark, __u32 table)
{
	const struct wanted w = { .family = family, .mark = mark, .table = table };
	int rule = del_rule(&w), route = del_route(&w);

	return rule ? rule : route;
}

int route_del(__u32 mark, __u32 table)
{
	int v6 = del_family(AF_INET6, mark, table), v4 = del_family(AF_INET, mark, table);

	return v6 ? v6 : v4;
}

/* Adds one of families[], which may be absent. */
static int add(struct shunt_conf *conf, int i)
{
	int error = add_family(families[i].family, conf->mark, conf->table);

	if (is_absent(families[i].family, error)) {
		conf->routed &= ~families[i].bit;
		return 0;
	}
	if (!error)
		conf->routed |= families[i].bit;
	return error;
}

int route_add(struct shunt_conf *conf)
{
	int error = check_numbers(conf->mark, conf->table);

	if (!error)
		error = check_loopback();
	if (!error)
		error = add(conf, 0);
	if (error)
		return error;
	error = add(conf, 1);
	if (error)
		del_family(AF_INET, conf->mark, conf->table);
	return error;
}

int route_restore(struct shunt_conf *conf, unsigned int *ret_n)
{
	int i, error = 0;

	*ret_n = 0;
	for (i = 0; i < 2 && !error && conf->mark; i++) {
		int family = families[i].family;

		if (is_there(conf, family))
			continue;
		error = check_loopback();
		/* the other of the two may be there */
		if (!error)
			error = del_family(family, conf->mark, conf->table);
		if (!error)
			error = add(conf, i);
		if (error || !(conf->routed & families[i].bit))
			continue;
		say("made the %s rule of mark 0x%x and its route again", family_name(family), conf->mark);
		++*ret_n;
	}
	return error;
}

struct way {
	__u32 ifindex;
	__u8 type; /* RTN_UNICAST … */
};

static int see_way(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct way *way = data;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	way->type = rtm->rtm_type;
	way->ifindex = attr_u32(nlh, sizeof(*rtm), RTA_OIF);
	return MNL_CB_OK;
}

static int find_way(int family, const __u8 addr[16], struct way *way)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	int bytes = family == AF_INET ? 4 : 16;

	nlh->nlmsg_type = RTM_GETROUTE;
	rtm->rtm_family = (unsigned char)family;
	rtm->rtm_dst_len = (unsigned char)(8 * bytes);
	mnl_attr_put(nlh, RTA_DST, bytes, addr);
	return rtnl_request(nlh, see_way, way);
}

int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex)
{
	struct way way = { .ifindex = 0 };
	int error = find_way(family, addr, &way);

	if (error)
		return error;
	if (way.type == RTN_LOCAL)
		way.ifindex = LOOPBACK;
	if (!way.ifindex)
		return -ENETUNREACH;
	*ret_ifindex = way.ifindex;
	return 0;
}

bool route_is_broadcast(int family, const __u8 addr[16])
{
	struct way way = { .ifindex = 0 };

	return !find_way(family, addr, &way) && way.type == RTN_BROADCAST;
}
