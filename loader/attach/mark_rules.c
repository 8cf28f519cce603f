// SPDX-License-Identifier: GPL-2.0-only
#include "attach/mark_rules.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "attach/loopback.h"
#include "util/rtnl.h"

/* Before main, 32766, and where people put their own. */
enum preference {
	PREFERENCE_LOCAL = 97,
	PREFERENCE_SKIP,
	PREFERENCE_DELIVER,
	PREFERENCE_END,
};

/* In the order in which they are made, so that the jump finds its end. */
static const struct mark_rule {
	enum preference preference;
	__u8 action;
	bool lo;    /* what comes in by lo, or is looked up as if it did */
	bool local; /* with the second bit, for what this host sends */
} rules[] = {
	{ PREFERENCE_END, FR_ACT_NOP, false, false },
	{ PREFERENCE_SKIP, FR_ACT_GOTO, true, false },
	{ PREFERENCE_LOCAL, FR_ACT_TO_TBL, true, true },
	{ PREFERENCE_DELIVER, FR_ACT_TO_TBL, false, false },
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
	return !r->local || conf->local;
}

static int change(const struct mark_rule *r, int family, const struct shunt_conf *conf, __u16 type,
		  __u16 flags)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO))), name[IF_NAMESIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	rule->family = (__u8)family;
	rule->action = r->action;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->preference);
	mnl_attr_put_u32(nlh, FRA_FWMARK, mark_of(r, conf));
	mnl_attr_put_u32(nlh, FRA_FWMASK, mark_of(r, conf));
	if (r->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(nlh, FRA_TABLE, conf->table);
	if (r->action == FR_ACT_GOTO)
		mnl_attr_put_u32(nlh, FRA_GOTO, PREFERENCE_END);
	/* lo may have had another name when the rule was made */
	if (r->lo && type == RTM_NEWRULE)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, lo_name(name));
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

/* What is there */

struct search {
	int family;
	const struct shunt_conf *conf;
	unsigned int found; /* a bit for each of rules[] */
};

static bool has_lo(const struct nlmsghdr *nlh, const struct fib_rule_hdr *rule)
{
	const struct nlattr *attr = rtnl_attr(nlh, sizeof(*rule), FRA_IIFNAME);
	char name[IF_NAMESIZE];

	return attr && !(rule->flags & FIB_RULE_IIF_DETACHED) &&
	       !strcmp(mnl_attr_get_str(attr), lo_name(name));
}

static bool is_same(const struct nlmsghdr *nlh, const struct mark_rule *r,
		    const struct shunt_conf *conf)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);

	return rule->action == r->action && !(rule->flags & FIB_RULE_UNRESOLVED) &&
	       rtnl_u32(nlh, sizeof(*rule), FRA_PRIORITY) == r->preference &&
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

bool mark_rules_present(int family, const struct shunt_conf *conf)
{
	struct search s = { .family = family, .conf = conf };
	int i;

	if (dump(family, see_rule, &s))
		return false;
	for (i = 0; i < RULES; i++)
		if (is_needed(&rules[i], conf) && !(s.found & 1U << i))
			return false;
	return true;
}

static int see_bits(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	__u32 *bits = data;

	if (rtnl_u8(nlh, sizeof(*rule), FRA_PROTOCOL) == ROUTE_PROTOCOL)
		*bits |= rtnl_u32(nlh, sizeof(*rule), FRA_FWMASK);
	return MNL_CB_OK;
}

/* The bits of the marks that shunts use; what can't be asked for has none. */
static __u32 used_bits(int family)
{
	__u32 bits = 0;

	dump(family, see_bits, &bits);
	return bits;
}

static __u32 rotate(__u32 bit, int by)
{
	return bit << by | bit >> (32 - by);
}

__u32 mark_rules_choose_local(__u32 mark)
{
	__u32 used = used_bits(AF_INET) | used_bits(AF_INET6) | mark;
	/* Not the next one: that is the mark of many a second shunt. */
	__u32 bit = rotate(mark, 4);

	while (used & bit && ~used)
		bit = rotate(bit, 1);
	return mark | bit;
}

/* Changes */

static void undo(int family, const struct shunt_conf *conf, int made)
{
	while (made--)
		if (is_needed(&rules[made], conf))
			change(&rules[made], family, conf, RTM_DELRULE, 0);
}

int mark_rules_add(int family, const struct shunt_conf *conf)
{
	int i, error;

	if (used_bits(family) & conf->mark)
		return -EEXIST;
	for (i = 0; i < RULES; i++) {
		if (!is_needed(&rules[i], conf))
			continue;
		error = change(&rules[i], family, conf, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
		if (error) {
			undo(family, conf, i);
			return error;
		}
	}
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
	int error = change(local_rule(), family, conf, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);

	return error == -EEXIST ? 0 : error;
}

int mark_rules_del_local(int family, const struct shunt_conf *conf)
{
	int error = change(local_rule(), family, conf, RTM_DELRULE, 0);

	return error == -ENOENT ? 0 : error;
}

/* The kernel compares the protocol too, and leaves others' alone:
 * net/core/fib_rules.c, rule_find(). */
int mark_rules_del(int family, const struct shunt_conf *conf)
{
	int i, error, first = 0;

	for (i = RULES - 1; i >= 0; i--) {
		if (!mark_of(&rules[i], conf))
			continue;
		error = change(&rules[i], family, conf, RTM_DELRULE, 0);
		if (!first && error != -ENOENT)
			first = error;
	}
	return first;
}
