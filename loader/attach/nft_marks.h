/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the chains of nftables in this network namespace that change the mark of packets before
 * routing, those of iptables-nft, too. Reads them from the kernel over netlink, so nft need not be
 * installed. Does not see the chains of iptables-legacy.
 */
#ifndef SHUNT_NFT_MARKS_H
#define SHUNT_NFT_MARKS_H

#include <stddef.h>

#include <linux/types.h>

#define NFT_NAME 64

/* A chain with a rule that sets the mark. */
struct nft_marker {
	char family[8]; /* as nft prints it: "inet" */
	char table[NFT_NAME];
	char chain[NFT_NAME];
	char base[NFT_NAME]; /* the base chain from which the chain is reached */
	const char *hook;    /* of the base chain: "prerouting" or "ingress" */
	int priority;        /* of the base chain */
};

struct nft_markers {
	struct nft_marker *all;
	size_t count;
};

/*
 * Finds the chains that may clear this bit of the mark for packets of the family (AF_INET,
 * AF_INET6; 0: either). Leaves *ret as it is if the kernel has no nftables. The caller frees *ret.
 * Returns 0, or -errno without a message.
 */
int nft_markers_find(int family, __u32 bit, struct nft_markers *ret);

void nft_markers_free(struct nft_markers *m);

#define NFT_MARKER_TEXT 256

/* Writes "table inet t, chain c (prerouting, priority -150)". Returns text. */
const char *nft_marker_text(char text[NFT_MARKER_TEXT], const struct nft_marker *m);

/* Writes a command that makes nftables set the bit of steered packets again after all these chains.
 * Returns text. */
const char *nft_marks_advice(char text[NFT_MARKER_TEXT], const struct nft_markers *m, __u32 bit);

#endif
