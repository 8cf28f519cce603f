/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The chains of nftables in this network namespace that change the mark of packets before
 * routing, also those of iptables-nft. Read from the kernel over netlink: nft need not be
 * installed. What iptables-legacy has is not seen.
 */
#ifndef SHUNT_NFT_MARKS_H
#define SHUNT_NFT_MARKS_H

#include <stddef.h>

#include <linux/types.h>

#define NFT_NAME 64

/* A chain whose rules set the mark, of packets of either family. */
struct nft_marker {
	char family[8]; /* as nft says it: "inet" */
	char table[NFT_NAME];
	char chain[NFT_NAME];
	char base[NFT_NAME]; /* the chain at the hook from which the other is reached */
	const char *hook;    /* "prerouting" or "ingress" */
	int priority;        /* of base */
};

struct nft_markers {
	struct nft_marker *all;
	size_t count;
};

/*
 * Finds those that may clear this bit for packets of the family (AF_INET, AF_INET6; 0:
 * either). 0 or -errno, unsaid; a kernel without nftables has none.
 */
int nft_markers_find(int family, __u32 bit, struct nft_markers *ret);

void nft_markers_free(struct nft_markers *m);

#define NFT_MARKER_TEXT 256

/* "table inet t, chain c (prerouting, priority -150)". Returns text. */
const char *nft_marker_text(char text[NFT_MARKER_TEXT], const struct nft_marker *m);

/* A command that sets the bit of steered packets again after all these. Returns text. */
const char *nft_marks_advice(char text[NFT_MARKER_TEXT], const struct nft_markers *m, __u32 bit);

#endif
