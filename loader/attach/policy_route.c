// SPDX-License-Identifier: GPL-2.0-only
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

/* The route "local default dev lo" in the table. */
struct local_route {
	int family;
	__u32 table;
	bool found; /* set by find_route() */
};

static const char *family_name(int family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

static struct nlmsghdr *route_message(char *buf, const struct local_route *r)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(nlh, sizeof(*route));

	route->rtm_family = (__u8)r->family;
	route->rtm_type = RTN_LOCAL;
	route->rtm_protocol = ROUTE_PROTOCOL;
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table);
	mnl_attr_put_u32(nlh, RTA_OIF, LOOPBACK_IFINDEX);
	return nlh;
}

static int change_route(const struct local_route *r, __u16 type, __u16 flags)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = route_message(buf, r);
	struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	route->rtm_scope = RT_SCOPE_HOST;
	return rtnl_request(nlh, NULL, NULL);
}

static int match_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	struct local_route *r = data;

	if (route->rtm_family == r->family && !route->rtm_dst_len && route->rtm_type == RTN_LOCAL &&
	    route->rtm_protocol == ROUTE_PROTOCOL &&
	    rtnl_u32(nlh, sizeof(*route), RTA_TABLE) == r->table &&
	    rtnl_u32(nlh, sizeof(*route), RTA_OIF) == LOOPBACK_IFINDEX)
		r->found = true;
	return MNL_CB_OK;
}

static int find_route(struct local_route *r)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = route_message(buf, r);

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	r->found = false;
	return rtnl_request(nlh, match_route, r);
}

static const struct {
	int family;
	__u32 bit;
} families[] = { { AF_INET, SHUNT_ROUTED_V4 }, { AF_INET6, SHUNT_ROUTED_V6 } };

/* Whether the rules and the route of the family exist. Returns 1, 0, or -errno without a message. */
static int rules_and_route_exist(const struct shunt_conf *conf, int family)
{
	struct local_route r = { .family = family, .table = conf->table };
	int error, present = mark_rules_are_present(family, conf);

	if (present <= 0)
		return present;
	error = find_route(&r);
	return error ? error : r.found;
}

/* As rules_and_route_exist(), but returns -errno only if memory or file descriptors ran out. Any
 * other error means that the host has no such rules: 0. */
static int is_present(const struct shunt_conf *conf, int family)
{
	int present = rules_and_route_exist(conf, family);

	return present < 0 && !is_shortage(present) ? 0 : present;
}

bool route_is_preceded(const struct shunt_conf *conf, __u32 *ret_preference)
{
	return conf->run.routed && mark_rules_are_preceded(conf, ret_preference);
}

bool route_is_present(const struct shunt_conf *conf)
{
	int i;

	for (i = 0; i < 2; i++)
		if (conf->run.routed & families[i].bit && !is_present(conf, families[i].family))
			return false;
	return true;
}

/* --- adding --------------------------------------------------------------------------- */

/* A mark of 0 would match all packets, and a table of the system is used for all packets. */
static int check_numbers(__u32 mark, __u32 table)
{
	if (!mark)
		return deny(-EINVAL, "mark 0 would match every packet; choose another with --mark");
	if (!table || (table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL))
		return deny(-EINVAL, "routing table %u is the system's own", table);
	return 0;
}

static int read_link_flags(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(nlh);
	unsigned int *flags = data;

	*flags = link->ifi_flags;
	return MNL_CB_OK;
}

/* While lo is down, IPv4 accepts a local route and then drops the packets. */
static int check_loopback(void)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(nlh, sizeof(*link));
	unsigned int flags = 0;
	int error;

	nlh->nlmsg_type = RTM_GETLINK;
	link->ifi_index = LOOPBACK_IFINDEX;
	error = rtnl_request(nlh, read_link_flags, &flags);
	if (error)
		return fail(error, "can't look at interface 'lo'");
	if (!(flags & IFF_UP))
		return deny(-ENETDOWN, "interface 'lo' is down and can't deliver steered "
				       "packets; bring it up with 'ip link set lo up'");
	return 0;
}

/*
 * Whether the error means that this host has no IPv6. EOPNOTSUPP, EAFNOSUPPORT: the kernel has no
 * IPv6, or no policy routing for it. EACCES, ENODEV: IPv6 is off for lo (net/ipv6/route.c,
 * fib6_nh_init()).
 */
static bool is_ipv6_absent(int family, int error)
{
	return family == AF_INET6 && (error == -EOPNOTSUPP || error == -EAFNOSUPPORT ||
				      error == -EACCES || error == -ENODEV);
}

/* Reports the error, unless the family is absent. Returns error. */
static int explain_add(int family, __u32 mark, int error)
{
	if (is_ipv6_absent(family, error)) {
		debug("IPv6 is off here: steering for IPv4 only");
		return error;
	}
	return fail(error, "can't route mark 0x%x to this host (%s)", mark, family_name(family));
}

static int deny_table(const struct local_route *r)
{
	return deny(-EEXIST,
		    "routing table %u (%s) is in use, perhaps by another shunt; "
		    "choose another with --table, or 'ip %s route flush table %u'",
		    r->table, family_name(r->family), r->family == AF_INET6 ? "-6" : "-4",
		    r->table);
}

static int deny_mark(__u32 mark)
{
	return deny(-EEXIST, "mark 0x%x is in use by another shunt; choose another with --mark",
		    mark);
}

/* Refuses a table or a mark that another shunt has. Whether the family is absent is found out
 * later. */
static int check_unused(int family, __u32 mark, __u32 table)
{
	struct local_route r = { .family = family, .table = table };
	int error = find_route(&r), used;

	if (r.found)
		return deny_table(&r);
	used = error ? error : mark_rules_use(family, mark);
	if (used > 0)
		return deny_mark(mark);
	return is_shortage(used) ? fail(used, "can't look at the %s rules", family_name(family))
				 : 0;
}

static int add_route(const struct local_route *r, __u32 mark)
{
	int error = change_route(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);

	if (error == -EEXIST)
		return deny_table(r);
	return error ? explain_add(r->family, mark, error) : 0;
}

static int add_rules(int family, const struct shunt_conf *conf)
{
	int error = mark_rules_add(family, conf);

	if (error == -EEXIST)
		return deny_mark(conf->mark);
	return error ? explain_add(family, conf->mark, error) : 0;
}

/* Returns 0, or -errno after reporting it, unless the family is absent. */
static int add_family(int family, const struct shunt_conf *conf)
{
	const struct local_route r = { .family = family, .table = conf->table };
	int error;

	error = add_route(&r, conf->mark);
	if (error)
		return error;
	error = add_rules(family, conf);
	if (error)
		change_route(&r, RTM_DELROUTE, 0);
	return error;
}

/* --- removing ------------------------------------------------------------------------- */

/* The kernel compares the protocol, too, so it leaves routes of other programs alone:
 * fib_table_delete(), ip6_route_del(). */

static int del_rules(int family, const struct shunt_conf *conf)
{
	int error = mark_rules_del(family, conf);

	if (error && !is_ipv6_absent(family, error))
		return fail(error, "can't remove the %s rules of mark 0x%x", family_name(family),
			    conf->mark);
	return 0;
}

static int del_route(int family, __u32 table)
{
	const struct local_route r = { .family = family, .table = table };
	int error = change_route(&r, RTM_DELROUTE, 0);

	if (error && error != -ESRCH && !is_ipv6_absent(family, error))
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

/* Adds the rules and the route of families[i], and sets or clears its bit in conf->run.routed. It is
 * no error if the family is absent. */
static int add_if_available(struct shunt_conf *conf, int i)
{
	int error = add_family(families[i].family, conf);

	if (is_ipv6_absent(families[i].family, error)) {
		conf->run.routed &= ~families[i].bit;
		return 0;
	}
	if (error)
		return error;
	conf->run.routed |= families[i].bit;
	return 0;
}

static int check_before_add(__u32 mark, __u32 table)
{
	int i, error = check_numbers(mark, table);

	if (error)
		return error;
	error = check_loopback();
	for (i = 0; i < 2 && !error; i++)
		error = check_unused(families[i].family, mark, table);
	return error;
}

/* Adds both families or none. */
static int add_both(struct shunt_conf *conf)
{
	int error = add_if_available(conf, 0);

	if (error)
		return error;
	error = add_if_available(conf, 1);
	if (error)
		del_family(AF_INET, conf);
	return error;
}

int route_add(struct shunt_conf *conf, __u32 mark)
{
	int error = check_before_add(mark, conf->table);

	if (error)
		return error;
	conf->local_mark = mark_rules_choose_local(mark);
	conf->preference = mark_rules_place(MARK_RULES_PREFERENCE);
	conf->mark = mark;
	error = add_both(conf);
	if (error)
		conf->mark = 0;
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
	int i, error;

	for (i = 0; i < 2; i++) {
		if (!(conf->run.routed & families[i].bit))
			continue;
		error = mark_rules_add_local(families[i].family, conf);
		if (error)
			return fail(error, "can't route mark 0x%x to this host", conf->local_mark);
	}
	return 0;
}

/* --- keeping -------------------------------------------------------------------------- */

/* Moves the rules of each family in conf->run.routed; none if one fails. Returns 0, or -errno
 * without a message. */
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
	/* back again; the rules of the family that failed have not moved */
	for (i -= 2; error && i >= 0; i--)
		if (conf->run.routed & families[i].bit)
			mark_rules_move(families[i].family, &moved, conf->preference);
	return error;
}

/* Moves the rules before those of other programs that have come since; back to the first choice
 * when those are gone. Adds 1 to *n if it moved them. */
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

/* Makes the rules and the route of families[i] again if some are missing. Adds 1 to *n then. */
static int restore_family(struct shunt_conf *conf, int i, unsigned int *n)
{
	int family = families[i].family, error, present = is_present(conf, family);

	if (present < 0)
		return fail(present, "can't look at the %s rules of mark 0x%x", family_name(family),
			    conf->mark);
	if (present)
		return 0;
	error = check_loopback();
	if (error)
		return error;
	error = del_family(family, conf); /* some of them may be there */
	if (error)
		return error;
	error = add_if_available(conf, i);
	if (error)
		return error;
	if (!(conf->run.routed & families[i].bit))
		return 0;
	say("made the %s rules of mark 0x%x and their route again", family_name(family),
	    conf->mark);
	++*n;
	return 0;
}

int route_restore(struct shunt_conf *conf, unsigned int *ret_n)
{
	int i, error;

	*ret_n = 0;
	if (!conf->mark)
		return 0;
	for (i = 0; i < 2; i++) {
		error = restore_family(conf, i, ret_n);
		if (error)
			return error;
	}
	return keep_first(conf, ret_n);
}
