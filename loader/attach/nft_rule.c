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
/* NFT_BITWISE_MASK_XOR, an operation that the headers before Linux 6.13 lack */
#define BITWISE_MASK_XOR 0

/* For each register, whether its value has the bit if the packet's mark has the bit. */
struct registers {
	bool keep[REGISTERS];
	__u32 bit;
};

/* The entry of the register that the attribute names. */
static bool *keep_of(struct registers *r, const struct nlattr *number)
{
	__u32 n = number ? ntohl(mnl_attr_get_u32(number)) : 0;

	return &r->keep[n < REGISTERS ? n : 0];
}

/* Puts the attributes within one attribute at the index of their type. */
static void read_attrs(const struct nlattr *nest, const struct nlattr *ret[ATTRS])
{
	const struct nlattr *attr;

	memset(ret, 0, ATTRS * sizeof(*ret));
	if (!nest)
		return;
	mnl_attr_for_each_nested(attr, nest)
		if (mnl_attr_get_type(attr) < ATTRS)
			ret[mnl_attr_get_type(attr)] = attr;
}

/* The first four bytes of a value, as in a register: a mark is in host byte order there. */
static __u32 value_of(const struct nlattr *data)
{
	const struct nlattr *in[ATTRS];
	__u32 value = 0;

	read_attrs(data, in);
	if (in[NFTA_DATA_VALUE] && mnl_attr_get_payload_len(in[NFTA_DATA_VALUE]) >= sizeof(value))
		memcpy(&value, mnl_attr_get_payload(in[NFTA_DATA_VALUE]), sizeof(value));
	return value;
}

static void read_meta(const struct nlattr *in[ATTRS], struct registers *r, struct nft_rule *rule)
{
	bool mark = in[NFTA_META_KEY] &&
		    ntohl(mnl_attr_get_u32(in[NFTA_META_KEY])) == NFT_META_MARK;

	if (in[NFTA_META_SREG] && mark)
		rule->clears |= !*keep_of(r, in[NFTA_META_SREG]);
	else if (in[NFTA_META_DREG])
		*keep_of(r, in[NFTA_META_DREG]) = mark;
}

static void read_bitwise(const struct nlattr *in[ATTRS], struct registers *r)
{
	__u32 op = in[NFTA_BITWISE_OP] ? ntohl(mnl_attr_get_u32(in[NFTA_BITWISE_OP])) : 0;
	bool masked = value_of(in[NFTA_BITWISE_MASK]) & r->bit;
	bool turned = value_of(in[NFTA_BITWISE_XOR]) & r->bit;
	bool keep = masked ? !turned && *keep_of(r, in[NFTA_BITWISE_SREG]) : turned;

	*keep_of(r, in[NFTA_BITWISE_DREG]) = op == BITWISE_MASK_XOR && keep;
}

static void read_immediate(const struct nlattr *in[ATTRS], struct registers *r,
			   struct nft_rule *rule)
{
	const struct nlattr *data[ATTRS], *verdict[ATTRS];

	read_attrs(in[NFTA_IMMEDIATE_DATA], data);
	read_attrs(data[NFTA_DATA_VERDICT], verdict);
	if (verdict[NFTA_VERDICT_CHAIN])
		rule->target = mnl_attr_get_str(verdict[NFTA_VERDICT_CHAIN]);
	*keep_of(r, in[NFTA_IMMEDIATE_DREG]) = value_of(in[NFTA_IMMEDIATE_DATA]) & r->bit;
}

/* Whether CONNMARK restores this bit of the mark from the connection, which may lack it. */
static bool connmark_clears(const struct nlattr *info, __u32 revision, __u32 bit)
{
	struct xt_connmark_tginfo2 v2;
	struct xt_connmark_tginfo1 v1;
	size_t len = mnl_attr_get_payload_len(info);

	if (revision >= 2 && len >= sizeof(v2)) {
		memcpy(&v2, mnl_attr_get_payload(info), sizeof(v2));
		return v2.mode == XT_CONNMARK_RESTORE && v2.nfmask & bit;
	}
	if (len < sizeof(v1))
		return false;
	memcpy(&v1, mnl_attr_get_payload(info), sizeof(v1));
	return v1.mode == XT_CONNMARK_RESTORE && v1.nfmask & bit;
}

static bool mark_clears(const struct nlattr *info, __u32 bit)
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
		rule->clears |= mark_clears(info, bit);
	else if (!strcmp(mnl_attr_get_str(name), "CONNMARK"))
		rule->clears |= connmark_clears(info, revision, bit);
}

/* Whether an expression of this name leaves all registers as they are. */
static bool is_read_only(const char *name)
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

	read_attrs(expression, outer);
	name = outer[NFTA_EXPR_NAME] ? mnl_attr_get_str(outer[NFTA_EXPR_NAME]) : "";
	read_attrs(outer[NFTA_EXPR_DATA], in);
	if (!strcmp(name, "meta"))
		read_meta(in, r, rule);
	else if (!strcmp(name, "bitwise"))
		read_bitwise(in, r);
	else if (!strcmp(name, "immediate"))
		read_immediate(in, r, rule);
	else if (!strcmp(name, "target"))
		read_target(in, r->bit, rule);
	else if (!is_read_only(name)) /* unknown values may be in any register */
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
