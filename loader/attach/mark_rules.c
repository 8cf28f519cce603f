// SPDX-License-Identifier: GPL-2.0-only
#include "attach/mark_rules.h"

#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "attach/loopback.h"
#include "util/rtnl.h"

/* Where a rule is: added to conf->preference. */
enum place {
	PLACE_LOCAL,
	PLACE_SKIP,
	PLACE_DELIVER,
	PLACE_END, /* the last of MARK_RULES_ROOM */
};

/* In the order in which they are made: the target of the goto comes before the goto. */
static const struct mark_rule {
	enum place place;
	__u8 action;
	bool lo;    /* matches only packets that come in by lo, and look-ups as if they did */
	bool local; /* matches conf->local_mark: packets that this host sent */
} rules[] = {
	{ PLACE_END, FR_ACT_NOP, false, false },
	{ PLACE_SKIP, FR_ACT_GOTO, true, false },
	{ PLACE_LOCAL, FR_ACT_TO_TBL, true, true },
	{ PLACE_DELIVER, FR_ACT_TO_TBL, false, false },
};

#define RULES ((int)(sizeof(rules) / sizeof(*rules)))

static __u32 mark_of(const struct mark_rule *r, const struct shunt_conf *conf)
{
	return r->local ? conf->local_mark : conf->mark;
}

static __u32 table_of(const struct mark_rule *r, const struct shunt_conf *conf)
{
	return r->action == FR_ACT_TO_TBL ? conf->table : RT_TABLE_UNSPEC;
}

static bool is_needed(const struct mark_rule *r, const struct shunt_conf *conf)
{
	return !r->local || conf->run.local;
}

/* Adds or removes one rule: type is RTM_NEWRULE or RTM_DELRULE. */
static int change_rule(const struct mark_rule *r, int family, const struct shunt_conf *conf,
		       __u32 preference, __u16 type, __u16 flags)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO))), name[IF_NAMESIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	rule->family = (__u8)family;
	rule->action = r->action;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, preference + r->place);
	mnl_attr_put_u32(nlh, FRA_FWMARK, mark_of(r, conf));
	mnl_attr_put_u32(nlh, FRA_FWMASK, mark_of(r, conf));
	if (r->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(nlh, FRA_TABLE, conf->table);
	if (r->action == FR_ACT_GOTO)
		mnl_attr_put_u32(nlh, FRA_GOTO, preference + PLACE_END);
	/* not for RTM_DELRULE: lo may have had another name when the rule was made */
	if (r->lo && type == RTM_NEWRULE)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, loopback_name(name));
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, ROUTE_PROTOCOL);
	return rtnl_request(nlh, NULL, NULL);
}

static int dump(int family, mnl_cb_t see, void *data)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

	nlh->nlmsg_type = RTM_GETRULE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	rule->family = (__u8)family;
	return rtnl_request(nlh, see, data);
}

/* --- finding the rules --------------------------------------------------------------- */

struct search {
	int family;
	const struct shunt_conf *conf;
	unsigned int found; /* a bit for each of rules[] */
};

/* Whether the rule is for lo, and in force: lo was not renamed since. */
static bool has_lo(const struct nlmsghdr *nlh, const struct fib_rule_hdr *rule)
{
	const struct nlattr *attr = rtnl_attr(nlh, sizeof(*rule), FRA_IIFNAME);
	char name[IF_NAMESIZE];

	return attr && !(rule->flags & FIB_RULE_IIF_DETACHED) &&
	       !strcmp(mnl_attr_get_str(attr), loopback_name(name));
}

static bool is_same(const struct nlmsghdr *nlh, const struct mark_rule *r,
		    const struct shunt_conf *conf)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);

	return rule->action == r->action && !(rule->flags & FIB_RULE_UNRESOLVED) &&
	       rtnl_u32(nlh, sizeof(*rule), FRA_PRIORITY) == conf->preference + r->place &&
	       rtnl_u32(nlh, sizeof(*rule), FRA_FWMARK) == mark_of(r, conf) &&
	       rtnl_u32(nlh, sizeof(*rule), FRA_FWMASK) == mark_of(r, conf) &&
	       rtnl_u32(nlh, sizeof(*rule), FRA_TABLE) == table_of(r, conf) &&
	       rtnl_u8(nlh, sizeof(*rule), FRA_PROTOCOL) == ROUTE_PROTOCOL &&
	       (!r->lo || has_lo(nlh, rule));
}

static int see_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	struct search *s = data;
	int i;

	for (i = 0; i < RULES && rule->family == s->family; i++)
		if (is_same(nlh, &rules[i], s->conf))
			s->found |= 1U << i;
	return MNL_CB_OK;
}

int mark_rules_are_present(int family, const struct shunt_conf *conf)
{
	struct search s = { .family = family, .conf = conf };
	int i, error = dump(family, see_rule, &s);

	if (error)
		return error;
	for (i = 0; i < RULES; i++)
		if (is_needed(&rules[i], conf) && !(s.found & 1U << i))
			return 0;
	return 1;
}

static int add_mark_bits(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	__u32 *bits = data;

	if (rtnl_u8(nlh, sizeof(*rule), FRA_PROTOCOL) == ROUTE_PROTOCOL)
		*bits |= rtnl_u32(nlh, sizeof(*rule), FRA_FWMASK);
	return MNL_CB_OK;
}

/* The bits of the marks that shunts in this namespace use; 0 if the rules can't be read. */
static __u32 used_bits(int family)
{
	__u32 bits = 0;

	dump(family, add_mark_bits, &bits);
	return bits;
}

static __u32 rotate(__u32 bit, int by)
{
	return bit << by | bit >> (32 - by);
}

__u32 mark_rules_choose_local(__u32 mark)
{
	__u32 used = used_bits(AF_INET) | used_bits(AF_INET6) | mark;
	/* The search begins four bits further on: the next bit is often the mark of a second
	 * shunt. */
	__u32 bit = rotate(mark, 4);

	while (used & bit && ~used)
		bit = rotate(bit, 1);
	return mark | bit;
}

/* --- rules of other programs --------------------------------------------------------- */

static int see_other(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	__u32 preference = rtnl_u32(nlh, sizeof(*rule), FRA_PRIORITY), *first = data;

	/* A rule for table local does no harm: its packets are delivered to this host anyway. */
	if (rtnl_u8(nlh, sizeof(*rule), FRA_PROTOCOL) != ROUTE_PROTOCOL &&
	    rtnl_u32(nlh, sizeof(*rule), FRA_TABLE) != RT_TABLE_LOCAL && preference < *first)
		*first = preference;
	return MNL_CB_OK;
}

/* The lowest preference of a rule that is not shunt's. */
static __u32 first_other(void)
{
	__u32 first = UINT32_MAX;

	dump(AF_INET, see_other, &first);
	dump(AF_INET6, see_other, &first);
	return first;
}

__u32 mark_rules_place(__u32 preference)
{
	__u32 other = first_other();

	if (other > MARK_RULES_PREFERENCE + PLACE_END)
		return MARK_RULES_PREFERENCE;
	return other > MARK_RULES_ROOM ? other - MARK_RULES_ROOM : preference;
}

bool mark_rules_are_preceded(const struct shunt_conf *conf, __u32 *ret_preference)
{
	__u32 other = first_other();

	if (other > conf->preference + PLACE_END)
		return false;
	*ret_preference = other;
	return true;
}

/* --- changes -------------------------------------------------------------------------- */

/* Removes the first n of rules[]. */
static void del_rules(int family, const struct shunt_conf *conf, __u32 preference, int n)
{
	while (n--)
		if (is_needed(&rules[n], conf))
			change_rule(&rules[n], family, conf, preference, RTM_DELRULE, 0);
}

/* Adds all of rules[]; none if one fails. */
static int add_rules(int family, const struct shunt_conf *conf, __u32 preference)
{
	int i, error;

	for (i = 0; i < RULES; i++) {
		if (!is_needed(&rules[i], conf))
			continue;
		error = change_rule(&rules[i], family, conf, preference, RTM_NEWRULE,
				    NLM_F_CREATE | NLM_F_EXCL);
		if (error) {
			del_rules(family, conf, preference, i);
			return error;
		}
	}
	return 0;
}

int mark_rules_use(int family, __u32 mark)
{
	__u32 bits = 0;
	int error = dump(family, add_mark_bits, &bits);

	return error ? error : (bits & mark) != 0;
}

int mark_rules_add(int family, const struct shunt_conf *conf)
{
	if (used_bits(family) & conf->mark)
		return -EEXIST;
	return add_rules(family, conf, conf->preference);
}

int mark_rules_move(int family, const struct shunt_conf *conf, __u32 preference)
{
	int error = add_rules(family, conf, preference);

	if (error)
		return error;
	del_rules(family, conf, conf->preference, RULES);
	return 0;
}

static const struct mark_rule *local_rule(void)
{
	int i = 0;

	while (!rules[i].local)
		i++;
	return &rules[i];
}

int mark_rules_add_local(int family, const struct shunt_conf *conf)
{
	int error = change_rule(local_rule(), family, conf, conf->preference, RTM_NEWRULE,
				NLM_F_CREATE | NLM_F_EXCL);

	return error == -EEXIST ? 0 : error;
}

int mark_rules_del_local(int family, const struct shunt_conf *conf)
{
	int error = change_rule(local_rule(), family, conf, conf->preference, RTM_DELRULE, 0);

	return error == -ENOENT ? 0 : error;
}

/* Removes all rules of shunt for the mark, at whatever preference: a command that moved them may
 * have been killed. The kernel compares the protocol, too, so it leaves rules of other programs
 * alone: net/core/fib_rules.c, rule_find(). */
static int del_marked(int family, __u32 mark)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct fib_rule_hdr *rule;
	int error;

	do {
		nlh = mnl_nlmsg_put_header(buf);
		rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
		nlh->nlmsg_type = RTM_DELRULE;
		rule->family = (__u8)family;
		mnl_attr_put_u32(nlh, FRA_FWMARK, mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, mark);
		mnl_attr_put_u8(nlh, FRA_PROTOCOL, ROUTE_PROTOCOL);
		error = rtnl_request(nlh, NULL, NULL);
	} while (!error);
	return error == -ENOENT ? 0 : error;
}

int mark_rules_del(int family, const struct shunt_conf *conf)
{
	int local = conf->local_mark ? del_marked(family, conf->local_mark) : 0;
	int error = conf->mark ? del_marked(family, conf->mark) : 0;

	return error ? error : local;
}

/* --- the rules of all shunts ----------------------------------------------------------- */

struct list {
	struct shunt_conf *all;
	int n, max;
};

/* The entry of the table, a new one if there is none; NULL if the list is full. */
static struct shunt_conf *entry_of(struct list *list, __u32 table)
{
	struct shunt_conf *c;

	for (c = list->all; c < list->all + list->n; c++)
		if (c->table == table)
			return c;
	if (list->n == list->max)
		return NULL;
	list->n++;
	*c = (struct shunt_conf){ .table = table };
	return c;
}

static int add_to_list(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	__u32 mark = rtnl_u32(nlh, sizeof(*rule), FRA_FWMARK);
	struct shunt_conf *c;

	if (rtnl_u8(nlh, sizeof(*rule), FRA_PROTOCOL) != ROUTE_PROTOCOL || !mark ||
	    rule->action != FR_ACT_TO_TBL)
		return MNL_CB_OK;
	c = entry_of(data, rtnl_u32(nlh, sizeof(*rule), FRA_TABLE));
	if (c && rtnl_attr(nlh, sizeof(*rule), FRA_IIFNAME)) /* PLACE_LOCAL */
		c->local_mark = mark;
	else if (c)
		c->mark = mark;
	return MNL_CB_OK;
}

static int list_both_families(struct list *list)
{
	int error = dump(AF_INET, add_to_list, list);

	return error ? error : dump(AF_INET6, add_to_list, list);
}

int mark_rules_list(struct shunt_conf *ret, int max)
{
	struct list list = { .all = ret, .max = max };
	int error = list_both_families(&list);

	if (error == -EOPNOTSUPP || error == -EAFNOSUPPORT) /* no IPv6 */
		return list.n;
	return error ? error : list.n;
}
