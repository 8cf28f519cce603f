// SPDX-License-Identifier: GPL-2.0-only
#include "attach/nft_marks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "attach/nft_rule.h"
#include "util/cleanup.h"
#include "util/rtnl.h"

#define MANGLE (-150) /* NF_IP_PRI_MANGLE */
#define LATER 10      /* how far the advised chain is behind the last one */
#define JUMPS_MAX 16  /* NFT_JUMP_STACK_SIZE */

struct chain {
	__u8 family;
	char table[NFT_NAME];
	char name[NFT_NAME];
	const char *hook; /* NULL: no base chain, or its hook is not before routing */
	int priority;
	bool clears; /* a rule may clear the bit */
};

/* A jump or goto between two chains, by their index in chains[]. */
struct jump {
	size_t from;
	size_t to;
};

struct ruleset {
	struct chain *chains;
	size_t chain_count;
	struct jump *jumps;
	size_t jump_count;
	__u32 bit;
};

static void free_ruleset(struct ruleset *r)
{
	free(r->chains);
	free(r->jumps);
}

/* Copies a name; each byte that is not printable becomes a question mark. */
static void copy_name(char to[NFT_NAME], const struct nlattr *attr)
{
	size_t i, len = attr ? mnl_attr_get_payload_len(attr) : 0;
	const char *from = attr ? mnl_attr_get_payload(attr) : "";

	for (i = 0; i < len && i < NFT_NAME - 1 && from[i]; i++)
		to[i] = from[i] > ' ' && from[i] < 127 ? from[i] : '?';
	to[i] = '\0';
}

static const struct nlattr *attr_of(const struct nlmsghdr *nlh, int type)
{
	return rtnl_attr(nlh, sizeof(struct nfgenmsg), type);
}

static __u8 family_of(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(nlh);

	return header->nfgen_family;
}

static __u32 be32_of(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) == 4 ? ntohl(mnl_attr_get_u32(attr)) : 0;
}

/* The name of a hook before routing, NULL for other hooks. */
static const char *hook_name(__u8 family, __u32 hook)
{
	if (family == NFPROTO_NETDEV)
		return hook == NF_NETDEV_INGRESS ? "ingress" : NULL;
	if (family == NFPROTO_INET && hook == NF_INET_INGRESS)
		return "ingress";
	if (family == NFPROTO_BRIDGE || family == NFPROTO_ARP || hook != NF_INET_PRE_ROUTING)
		return NULL;
	return "prerouting";
}

static int see_chain(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *hook = attr_of(nlh, NFTA_CHAIN_HOOK), *attr, *number = NULL;
	struct chain new = { .family = family_of(nlh) }, *larger;
	struct ruleset *r = data;

	copy_name(new.table, attr_of(nlh, NFTA_CHAIN_TABLE));
	copy_name(new.name, attr_of(nlh, NFTA_CHAIN_NAME));
	if (hook) {
		mnl_attr_for_each_nested(attr, hook) {
			if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
				number = attr;
			else if (mnl_attr_get_type(attr) == NFTA_HOOK_PRIORITY)
				new.priority = (int)be32_of(attr);
		}
		new.hook = number ? hook_name(new.family, be32_of(number)) : NULL;
	}
	larger = realloc(r->chains, (r->chain_count + 1) * sizeof(new));
	if (!larger)
		return MNL_CB_ERROR;
	r->chains = larger;
	r->chains[r->chain_count++] = new;
	return MNL_CB_OK;
}

/* The index of a chain; chain_count if there is none of that name. */
static size_t find_chain(const struct ruleset *r, __u8 family, const char *table, const char *name)
{
	size_t i;

	for (i = 0; i < r->chain_count; i++)
		if (r->chains[i].family == family && !strcmp(r->chains[i].table, table) &&
		    !strcmp(r->chains[i].name, name))
			break;
	return i;
}

static int add_jump(struct ruleset *r, size_t from, const char *target)
{
	const struct chain *c = &r->chains[from];
	struct jump *larger, new = { .from = from };
	char name[NFT_NAME];

	snprintf(name, sizeof(name), "%s", target);
	new.to = find_chain(r, c->family, c->table, name);
	if (new.to == r->chain_count)
		return MNL_CB_OK;
	larger = realloc(r->jumps, (r->jump_count + 1) * sizeof(new));
	if (!larger)
		return MNL_CB_ERROR;
	r->jumps = larger;
	r->jumps[r->jump_count++] = new;
	return MNL_CB_OK;
}

static int see_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *expressions = attr_of(nlh, NFTA_RULE_EXPRESSIONS);
	char table[NFT_NAME], name[NFT_NAME];
	struct ruleset *r = data;
	struct nft_rule rule;
	size_t at;

	copy_name(table, attr_of(nlh, NFTA_RULE_TABLE));
	copy_name(name, attr_of(nlh, NFTA_RULE_CHAIN));
	at = find_chain(r, family_of(nlh), table, name);
	if (!expressions || at == r->chain_count)
		return MNL_CB_OK;
	rule = nft_rule_read(expressions, r->bit);
	r->chains[at].clears |= rule.clears;
	return rule.target ? add_jump(r, at, rule.target) : MNL_CB_OK;
}

static int dump(int type, mnl_cb_t see, struct ruleset *r)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(nlh, sizeof(*header));

	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	nlh->nlmsg_flags = NLM_F_DUMP;
	header->nfgen_family = NFPROTO_UNSPEC;
	return netfilter_request(nlh, see, r);
}

/* The index of the base chain before routing from which a chain is reached; chain_count if there is
 * none. */
static size_t base_of(const struct ruleset *r, size_t chain, int depth)
{
	size_t i, base;

	if (r->chains[chain].hook || depth > JUMPS_MAX)
		return r->chains[chain].hook ? chain : r->chain_count;
	for (i = 0; i < r->jump_count; i++) {
		if (r->jumps[i].to != chain)
			continue;
		base = base_of(r, r->jumps[i].from, depth + 1);
		if (base < r->chain_count)
			return base;
	}
	return r->chain_count;
}

static const char *family_name(__u8 family)
{
	return family == NFPROTO_INET   ? "inet"
	       : family == NFPROTO_IPV4 ? "ip"
	       : family == NFPROTO_IPV6 ? "ip6"
					: "netdev";
}

static bool sees_family(const struct chain *c, int family)
{
	return !family || c->family == (family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6) ||
	       c->family == NFPROTO_INET || c->family == NFPROTO_NETDEV;
}

static int add_marker(const struct chain *c, const struct chain *base, struct nft_markers *m)
{
	struct nft_marker *larger = realloc(m->all, (m->count + 1) * sizeof(*larger));
	struct nft_marker *new;

	if (!larger)
		return -ENOMEM;
	m->all = larger;
	new = &m->all[m->count++];
	snprintf(new->family, sizeof(new->family), "%s", family_name(c->family));
	memcpy(new->table, c->table, NFT_NAME);
	memcpy(new->chain, c->name, NFT_NAME);
	memcpy(new->base, base->name, NFT_NAME);
	new->hook = base->hook;
	new->priority = base->priority;
	return 0;
}

static int read_ruleset(struct ruleset *r)
{
	int error = dump(NFT_MSG_GETCHAIN, see_chain, r);

	return error ? error : dump(NFT_MSG_GETRULE, see_rule, r);
}

static int add_markers(const struct ruleset *r, int family, struct nft_markers *m)
{
	size_t i, base;
	int error;

	for (i = 0; i < r->chain_count; i++) {
		if (!r->chains[i].clears || !sees_family(&r->chains[i], family))
			continue;
		base = base_of(r, i, 0);
		if (base == r->chain_count)
			continue;
		error = add_marker(&r->chains[i], &r->chains[base], m);
		if (error)
			return error;
	}
	return 0;
}

int nft_markers_find(int family, __u32 bit, struct nft_markers *ret)
{
	_cleanup_(free_ruleset) struct ruleset r = { .bit = bit };
	struct nft_markers found = { .all = NULL };
	int error = read_ruleset(&r);

	if (error == -EOPNOTSUPP || error == -EPROTONOSUPPORT || error == -EINVAL)
		return 0; /* no nftables */
	if (error)
		return error;
	error = add_markers(&r, family, &found);
	if (error) {
		nft_markers_free(&found);
		return error;
	}
	*ret = found;
	return 0;
}

void nft_markers_free(struct nft_markers *m)
{
	free(m->all);
	*m = (struct nft_markers){ .all = NULL };
}

const char *nft_marker_text(char text[NFT_MARKER_TEXT], const struct nft_marker *m)
{
	snprintf(text, NFT_MARKER_TEXT, "table %s %s, chain %s (%s, priority %d)", m->family,
		 m->table, m->chain, m->hook, m->priority);
	return text;
}

const char *nft_marks_advice(char text[NFT_MARKER_TEXT], const struct nft_markers *m, __u32 bit)
{
	int priority = MANGLE;
	size_t i;

	for (i = 0; i < m->count; i++)
		if (!strcmp(m->all[i].hook, "prerouting") && m->all[i].priority > priority)
			priority = m->all[i].priority;
	snprintf(text, NFT_MARKER_TEXT,
		 "nft 'add table inet shunt_mark; add chain inet shunt_mark "
		 "prerouting { type filter hook prerouting priority %d; }; add rule inet shunt_mark "
		 "prerouting socket transparent 1 meta mark set meta mark or 0x%x'",
		 priority + LATER, bit);
	return text;
}
