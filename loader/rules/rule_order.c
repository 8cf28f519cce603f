// SPDX-License-Identifier: GPL-2.0-only
/* The order of precedence of rules, and whether two rules are alike. */
#include <string.h>

#include "rules/rule.h"

static int cmp_dst_len(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return b->dst_len - a->dst_len;
}

static int cmp_src_len(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return b->src_len - a->src_len;
}

static int cmp_dport_width(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return (a->dport_high - a->dport_low) - (b->dport_high - b->dport_low);
}

static int cmp_sport_width(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return (a->sport_high - a->sport_low) - (b->sport_high - b->sport_low);
}

static int cmp_has_iface(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return !*a->ifname - !*b->ifname;
}

static int cmp_dport(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->dport_low - b->dport_low;
}

static int cmp_sport(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->sport_low - b->sport_low;
}

static int cmp_src(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return memcmp(a->src, b->src, sizeof(a->src));
}

static int cmp_ifname(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return strcmp(a->ifname, b->ifname);
}

static const struct criterion {
	int (*compare)(const struct shunt_rule *a, const struct shunt_rule *b);
	const char *lost;
	const char *won;
} criteria[] = {
	{ cmp_dst_len, "shorter destination prefix", "longest destination prefix" },
	{ cmp_src_len, "shorter source prefix", "longest source prefix" },
	{ cmp_dport_width, "wider dport range", "narrowest dport range" },
	{ cmp_sport_width, "wider sport range", "narrowest sport range" },
	{ cmp_has_iface, "not bound to the interface", "bound to the interface" },
	/* The rest makes the order total. These criteria are arbitrary. */
	{ cmp_dport, "dport range begins higher", "dport range begins lowest" },
	{ cmp_sport, "sport range begins higher", "sport range begins lowest" },
	{ cmp_src, "higher source prefix", "lowest source prefix" },
	{ cmp_ifname, "later interface name", "first interface name" },
	{ NULL, "the same match", "the same match" },
};

/* The first criterion in which the rules differ; the last entry if none differs. */
static const struct criterion *first_difference(const struct shunt_rule *a,
						const struct shunt_rule *b)
{
	const struct criterion *c = criteria;

	while (c->compare && !c->compare(a, b))
		c++;
	return c;
}

int rule_compare(const struct shunt_rule *a, const struct shunt_rule *b)
{
	const struct criterion *c = first_difference(a, b);

	return c->compare ? c->compare(a, b) : 0;
}

int rule_order(const struct shunt_rule *a, const struct shunt_rule *b)
{
	/* IPv4 and TCP come first: AF_INET and IPPROTO_TCP are the lower numbers. */
	if (a->family != b->family)
		return a->family - b->family;
	if (a->proto != b->proto)
		return a->proto - b->proto;
	return cmp_dst_len(a, b) ?: memcmp(a->dst, b->dst, sizeof(a->dst)) ?: rule_compare(a, b);
}

const char *rule_lost(const struct shunt_rule *winner, const struct shunt_rule *loser)
{
	return first_difference(winner, loser)->lost;
}

const char *rule_won(const struct shunt_rule *winner, const struct shunt_rule *loser)
{
	return first_difference(winner, loser)->won;
}

bool rule_same_match(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->family == b->family && a->proto == b->proto &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst)) && !rule_compare(a, b);
}

bool rule_same_effect(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->action == b->action && a->to_port == b->to_port &&
	       !memcmp(a->to, b->to, sizeof(a->to)) && a->ifindex == b->ifindex &&
	       a->compat == b->compat && a->own == b->own && a->router == b->router &&
	       a->unknown == b->unknown && !strcmp(a->service, b->service);
}

bool rule_keep_router(const struct shunt_rule *in_force, struct shunt_rule *r)
{
	r->router = in_force->router;
	if (rule_same_effect(in_force, r))
		return true;
	r->router = 0;
	return false;
}
