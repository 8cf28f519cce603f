/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads what a rule of nftables does to the mark, from the kernel's message over netlink. */
#ifndef SHUNT_NFT_RULE_H
#define SHUNT_NFT_RULE_H

#include <stdbool.h>

#include <libmnl/libmnl.h>
#include <linux/types.h>

struct nft_rule {
	bool clears;        /* sets the mark to a value that may lack the bit */
	const char *target; /* the chain that the rule jumps or goes to; NULL: none */
};

/* Reads the expressions of a rule, NFTA_RULE_EXPRESSIONS. The result points into the message. */
struct nft_rule nft_rule_read(const struct nlattr *expressions, __u32 bit);

#endif
