/* SPDX-License-Identifier: GPL-2.0-only */
/* The search of tc/rules.h, compiled for this program instead of the kernel. */
#ifndef SHUNT_TESTS_SEARCH_H
#define SHUNT_TESTS_SEARCH_H

#include <stddef.h>

#include <linux/types.h>

struct question {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u32 ifindex;
};

/* Returns the unit of the rule for a packet in a store of that size, 0 if there is none. */
__u32 search_rule(void *store, size_t size, const struct question *q);

#endif
