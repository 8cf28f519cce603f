// SPDX-License-Identifier: GPL-2.0-only
#include "attach/nft_rule.h"

#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_mark.h>

#define REGISTERS 32
#define ATTRS 16
/* since Linux 6.13 in nf_tables.h: how NFTA_BITWISE_OP combines two registers */
#define BITWISE_MASK_XOR 0

/* Which registers hold a value that has the bit, if the packet's mark has it. */
struct registers {
	bool keep[REGISTERS];
	__u32 bit;
};

static bool *keeps(struct registers *r, const struct nlattr *number)
{
	__u32 n = number ? ntohl(mnl_attr_get_u32(number)) : 0;

	return &r->keep[n < REGISTERS ? n : 0];
}

/* The attributes within one, by their type. */
static void attrs_of(const struct nlattr *nest, const struct nlattr *ret[ATTRS])
{
	const struct nlattr *attr;

	memset(ret, 0, ATTRS * sizeof(*ret));
	if (!nest)
		return;
	mnl_attr_for_each_nested(attr, nest)
		if (mnl_attr_get_type(attr) < ATTRS)
			ret[mnl_attr_get_type(attr)] = attr;
}

/* A value as a register has it: a mark is in host byte order. */
static __u32 value_of(const struct nlattr *data)
{
	const struct nlattr *in[ATTRS];
	__u32 value = 0;

	attrs_of(data, in);
	if (in[NFTA_DATA_VALUE] && mnl_attr_get_payload_len(in[NFTA_DATA_VALUE]) >= sizeof(value))
		memcpy(&value, mnl_attr_get_payload(in[NFTA_DATA_VALUE]), sizeof(value));
	return value;
}

static void read_meta(const struct nlattr *in[ATTRS], struct registers *r, struct nft_rule *rule)
{
	bool mark = in[NFTA_META_KEY] &&
		    ntohl(mnl_attr_get_u32(in[NFTA_META_KEY])) == NFT_META_MARK;

	if (in[NFTA_META_SREG] && mark)
		rule->clears |= !*keeps(r, in[NFTA_META_SREG]);
	else if (in[NFTA_META_DREG])
		*keeps(r, in[NFTA_META_DREG]) = mark;
}

static void read_bitwise(const struct nlattr *in[ATTRS], struct registers *r)
{
	__u32 op = in[NFTA_BITWISE_OP] ? ntohl(mnl_attr_get_u32(in[NFTA_BITWISE_OP])) : 0;
	bool masked = value_of(in[NFTA_BITWISE_MASK]) & r->bit;
	bool turned = value_of(in[NFTA_BITWISE_XOR]) & r->bit;
	bool keep = masked ? !turned && *keeps(r, in[NFTA_BITWISE_SREG]) : turned;

	*keeps(r, in[NFTA_BITWISE_DREG]) = op == BITWISE_MASK_XOR && keep;
}

static void read_immediate(const struct nlattr *in[ATTRS], struct registers *r,
			   struct nft_rule *rule)
{
	const struct nlattr *data[ATTRS], *verdict[ATTRS];

	attrs_of(in[NFTA_IMMEDIATE_DATA], data);
	attrs_of(data[NFTA_DATA_VERDICT], verdict);
	if (verdict[NFTA_VERDICT_CHAIN])
		rule->target = mnl_attr_get_str(verdict[NFTA_VERDICT_CHAIN]);
	*keeps(r, in[NFTA_IMMEDIATE_DREG]) = value_of(in[NFTA_IMMEDIATE_DATA]) & r->bit;
}

/* What CONNMARK's revisions 1 and 2 have in common comes first; then the mode. */
static bool restores(const struct nlattr *info, __u32 revision, __u32 bit)
{
	struct xt_connmark_tginfo2 new;
	struct xt_connmark_tginfo1 old;
	size_t len = mnl_attr_get_payload_len(info);

	if (revision >= 2 && len >= sizeof(new)) {
		memcpy(&new, mnl_attr_get_payload(info), sizeof(new));
		return new.mode == XT_CONNMARK_RESTORE &&new.nfmask &bit;
	}
	if (len < sizeof(old))
		return false;
	memcpy(&old, mnl_attr_get_payload(info), sizeof(old));
	return old.mode == XT_CONNMARK_RESTORE && old.nfmask & bit;
}

static bool marks(const struct nlattr *info, __u32 bit)
{
	struct xt_mark_tginfo2 mark;

	if (mnl_attr_get_payload_len(info) < sizeof(mark))
		return false;
	memcpy(&mark, mnl_attr_get_payload(info), sizeof(mark));
	return mark.mask & bit && !(mark.mark & bit);
}

/* MARK and CONNMARK of iptables-nft. */
static void read_target(const struct nlattr *in[ATTRS], __u32 bit, struct nft_rule *rule)
{
	const struct nlattr *name = in[NFTA_TARGET_NAME], *info = in[NFTA_TARGET_INFO];
	__u32 revision = in[NFTA_TARGET_REV] ? ntohl(mnl_attr_get_u32(in[NFTA_TARGET_REV])) : 0;

	if (!name || !info)
		return;
	if (!strcmp(mnl_attr_get_str(name), "MARK"))
		rule->clears |= marks(info, bit);
	else if (!strcmp(mnl_attr_get_str(name), "CONNMARK"))
		rule->clears |= restores(info, revision, bit);
}

/* Those that put nothing into a register. */
static bool only_reads(const char *name)
{
	static const char *const names[] = { "cmp",  "counter",   "limit",  "quota",
					     "log",  "range",     "objref", "notrack",
					     "last", "connlimit", "match",  NULL };
	int i = 0;

	while (names[i] && strcmp(names[i], name))
		i++;
	return names[i];
}

static void read_expression(const struct nlattr *expression, struct registers *r,
			    struct nft_rule *rule)
{
	const struct nlattr *in[ATTRS], *outer[ATTRS];
	const char *name;

	attrs_of(expression, outer);
	name = outer[NFTA_EXPR_NAME] ? mnl_attr_get_str(outer[NFTA_EXPR_NAME]) : "";
	attrs_of(outer[NFTA_EXPR_DATA], in);
	if (!strcmp(name, "meta"))
		read_meta(in, r, rule);
	else if (!strcmp(name, "bitwise"))
		read_bitwise(in, r);
	else if (!strcmp(name, "immediate"))
		read_immediate(in, r, rule);
	else if (!strcmp(name, "target"))
		read_target(in, r->bit, rule);
	else if (!only_reads(name))
		memset(r->keep, 0, sizeof(r->keep));
}

struct nft_rule nft_rule_read(const struct nlattr *expressions, __u32 bit)
{
	struct nft_rule rule = { .target = NULL };
	struct registers r = { .bit = bit };
	const struct nlattr *expression;

	mnl_attr_for_each_nested(expression, expressions)
		read_expression(expression, &r, &rule);
	return rule;
}
