/* SPDX-License-Identifier: GPL-2.0-only */
/* What a rule of nftables, as the kernel tells it over netlink, does to the mark. */
#ifndef SHUNT_NFT_RULE_H
#define SHUNT_NFT_RULE_H

#include <stdbool.h>

#include <libmnl/libmnl.h>
#include <linux/types.h>

struct nft_rule {
	bool clears;        /* sets the mark to what may lack the bit */
	const char *target; /* the chain that the rule jumps or goes to; NULL: none */
};

/* Reads the expressions of a rule: NFTA_RULE_EXPRESSIONS. */
struct nft_rule nft_rule_read(const struct nlattr *expressions, __u32 bit);

#endif
