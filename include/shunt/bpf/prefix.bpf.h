/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_PREFIX_BPF_H
#define SHUNT_PREFIX_BPF_H

#include <shunt/bpf/maps.bpf.h>

/* Whether addr is inside the prefix of len bits. Both have 16 bytes in network byte order. */
static __always_inline bool in_prefix(const __u8 *addr, const __u8 *prefix, __u8 len)
{
	const __u32 *a = (const __u32 *)addr, *p = (const __u32 *)prefix;
	int i, bits;

	for (i = 0; i < 4; i++) {
		bits = len - 32 * i;
		if (bits <= 0)
			return true;
		if (bits >= 32) {
			if (a[i] != p[i])
				return false;
		} else if ((a[i] ^ p[i]) & bpf_htonl(~0U << (32 - bits))) {
			return false;
		}
	}
	return true;
}

#endif
