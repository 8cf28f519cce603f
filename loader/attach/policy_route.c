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

#include "attach/loopback.h"
#include "attach/mark_rules.h"
#include "attach/policy_route.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/rtnl.h"

struct wanted {
	int family;
	__u32 table;
	bool found;
};

static const char *family_name(int family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

static struct nlmsghdr *route_message(char *buf, const struct wanted *w)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(nlh, sizeof(*route));

	route->rtm_family = (__u8)w->family;
	route->rtm_type = RTN_LOCAL;
	route->rtm_protocol = ROUTE_PROTOCOL;
	mnl_attr_put_u32(nlh, RTA_TABLE, w->table);
	mnl_attr_put_u32(nlh, RTA_OIF, LOOPBACK_IFINDEX);
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

static int match_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = data;

	if (route->rtm_family == w->family && !route->rtm_dst_len && route->rtm_type == RTN_LOCAL &&
	    route->rtm_protocol == ROUTE_PROTOCOL &&
	    rtnl_u32(nlh, sizeof(*route), RTA_TABLE) == w->table &&
	    rtnl_u32(nlh, sizeof(*route), RTA_OIF) == LOOPBACK_IFINDEX)
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

/* 1, 0, or -errno. */
static int is_there(const struct shunt_conf *conf, int family)
{
	struct wanted w = { .family = family, .table = conf->table };
	int there = mark_rules_present(family, conf), error;

	if (there > 0) {
		error = find_route(&w);
		there = error ? error : w.found;
	}
	return there < 0 && !is_shortage(there) ? 0 : there;
}

bool route_preceded(const struct shunt_conf *conf, __u32 *ret_preference)
{
	return conf->run.routed && mark_rules_preceded(conf, ret_preference);
}

bool route_present(const struct shunt_conf *conf)
{
	int i;

	for (i = 0; i < 2; i++)
		if (conf->run.routed & families[i].bit && !is_there(conf, families[i].family))
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
	link->ifi_index = LOOPBACK_IFINDEX;
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

static int explain_add(int family, __u32 mark, int error)
{
	if (is_absent(family, error)) {
		debug("IPv6 is off here: steering for IPv4 only");
		return error;
	}
	return fail(error, "can't route mark 0x%x to this host (%s)", mark, family_name(family));
}

/* 0, or -errno, said unless it is absent. */
static int add_family(int family, const struct shunt_conf *conf)
{
	const struct wanted w = { .family = family, .table = conf->table };
	int error;

	error = change_route(&w, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	if (error == -EEXIST)
		return deny(error,
			    "routing table %u (%s) is in use, perhaps by another shunt; "
			    "choose another with --table, or 'ip %s route flush table %u'",
			    conf->table, family_name(family), family == AF_INET6 ? "-6" : "-4",
			    conf->table);
	if (error)
		return explain_add(family, conf->mark, error);
	error = mark_rules_add(family, conf);
	if (!error)
		return 0;
	change_route(&w, RTM_DELROUTE, 0);
	if (error == -EEXIST)
		return deny(error,
			    "mark 0x%x is in use by another shunt; "
			    "choose another with --mark",
			    conf->mark);
	return explain_add(family, conf->mark, error);
}

/* Removing. The kernel compares the protocol too, and leaves others' alone:
 * fib_table_delete(); ip6_route_del(). */

static int del_rules(int family, const struct shunt_conf *conf)
{
	int error = mark_rules_del(family, conf);

	if (error && !is_absent(family, error))
		return fail(error, "can't remove the %s rules of mark 0x%x", family_name(family),
			    conf->mark);
	return 0;
}

static int del_route(int family, __u32 table)
{
	const struct wanted w = { .family = family, .table = table };
	int error = change_route(&w, RTM_DELROUTE, 0);

	if (error && error != -ESRCH && !is_absent(family, error))
		return fail(error, "can't remove the %s route of table %u", family_name(family),
			    table);
	return 0;
}

static int del_family(int family, const struct shunt_conf *conf)
{
	int rules = del_rules(family, conf), route = del_route(family, conf->table);

	return rules ? rules : route;
}

int route_del(const struct shunt_conf *conf)
{
	int v6 = del_family(AF_INET6, conf), v4 = del_family(AF_INET, conf);

	return v6 ? v6 : v4;
}

/* Adds one of families[], which may be absent. */
static int add(struct shunt_conf *conf, int i)
{
	int error = add_family(families[i].family, conf);

	if (is_absent(families[i].family, error)) {
		conf->run.routed &= ~families[i].bit;
		return 0;
	}
	if (!error)
		conf->run.routed |= families[i].bit;
	return error;
}

int route_add(struct shunt_conf *conf)
{
	int error = check_numbers(conf->mark, conf->table);

	if (!error)
		error = check_loopback();
	if (error)
		return error;
	conf->local_mark = mark_rules_choose_local(conf->mark);
	conf->preference = mark_rules_place(MARK_RULES_PREFERENCE);
	error = add(conf, 0);
	if (error)
		return error;
	error = add(conf, 1);
	if (error)
		del_family(AF_INET, conf);
	return error;
}

void route_del_local(const struct shunt_conf *conf)
{
	int i;

	for (i = 0; i < 2; i++)
		if (conf->run.routed & families[i].bit)
			mark_rules_del_local(families[i].family, conf);
}

int route_add_local(const struct shunt_conf *conf)
{
	int i, error = 0;

	for (i = 0; i < 2 && !error; i++)
		if (conf->run.routed & families[i].bit)
			error = mark_rules_add_local(families[i].family, conf);
	return error ? fail(error, "can't route mark 0x%x to this host", conf->local_mark) : 0;
}

/* All that conf->run.routed names, or none and -errno. */
static int move_rules(const struct shunt_conf *conf, __u32 preference)
{
	struct shunt_conf moved = { .mark = conf->mark,
				    .local_mark = conf->local_mark,
				    .run.local = conf->run.local,
				    .table = conf->table,
				    .preference = preference };
	int i, error = 0;

	for (i = 0; i < 2 && !error; i++)
		if (conf->run.routed & families[i].bit)
			error = mark_rules_move(families[i].family, conf, preference);
	/* the one that failed is where it was */
	for (i -= 2; error && i >= 0; i--)
		if (conf->run.routed & families[i].bit)
			mark_rules_move(families[i].family, &moved, conf->preference);
	return error;
}

/* Before those of others that have come, or back where it began when they have gone. */
static int keep_first(struct shunt_conf *conf, unsigned int *n)
{
	__u32 preference = mark_rules_place(conf->preference);
	int error;

	if (preference == conf->preference)
		return 0;
	error = move_rules(conf, preference);
	if (error)
		return fail(error, "can't move the routing rules of mark 0x%x to preference %u",
			    conf->mark, preference);
	say("moved the routing rules of mark 0x%x from preference %u to %u, before those of others",
	    conf->mark, conf->preference, preference);
	conf->preference = preference;
	++*n;
	return 0;
}

int route_restore(struct shunt_conf *conf, unsigned int *ret_n)
{
	int i, error = 0;

	*ret_n = 0;
	for (i = 0; i < 2 && !error && conf->mark; i++) {
		int family = families[i].family;

		error = is_there(conf, family);
		if (error < 0)
			return fail(error, "can't look at the %s rules of mark 0x%x",
				    family_name(family), conf->mark);
		if (error) {
			error = 0;
			continue;
		}
		error = check_loopback();
		/* some of it may be there */
		if (!error)
			error = del_family(family, conf);
		if (!error)
			error = add(conf, i);
		if (error || !(conf->run.routed & families[i].bit))
			continue;
		say("made the %s rules of mark 0x%x and their route again", family_name(family),
		    conf->mark);
		++*ret_n;
	}
	return error || !conf->mark ? error : keep_first(conf, ret_n);
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
	way->ifindex = rtnl_u32(nlh, sizeof(*rtm), RTA_OIF);
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
		way.ifindex = LOOPBACK_IFINDEX;
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
