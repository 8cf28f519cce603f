// SPDX-License-Identifier: GPL-2.0-only
#include "util/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

unsigned int address_bits(__u8 family)
{
	return family == AF_INET ? 32 : 128;
}

bool mask_address(__u8 addr[16], unsigned int len)
{
	bool cleared = false;
	unsigned int i;
	__u8 keep; /* the bits of byte i that stay */

	for (i = 0; i < 16; i++) {
		keep = len >= 8 * (i + 1) ? 0xff : len <= 8 * i ? 0 : 0xff << (8 - len % 8);
		cleared |= addr[i] & ~keep;
		addr[i] &= keep;
	}
	return cleared;
}

bool in_prefix(const __u8 addr[16], const __u8 prefix[16], __u8 len)
{
	__u8 masked[16];

	memcpy(masked, addr, sizeof(masked));
	mask_address(masked, len);
	return !memcmp(masked, prefix, sizeof(masked));
}

bool is_multicast(__u8 family, const __u8 addr[16])
{
	return family == AF_INET ? (addr[0] & 0xf0) == 0xe0 : addr[0] == 0xff;
}

void format_address(__u8 family, const __u8 *addr, char text[ADDRESS_TEXT])
{
	if (!inet_ntop(family, addr, text, ADDRESS_TEXT))
		strcpy(text, "?");
}

void format_prefix(__u8 family, const __u8 *addr, __u8 len, char text[PREFIX_TEXT])
{
	char address[ADDRESS_TEXT];

	format_address(family, addr, address);
	snprintf(text, PREFIX_TEXT, "%s/%u", address, len);
}

void format_short_prefix(__u8 family, const __u8 *addr, __u8 len, char text[PREFIX_TEXT])
{
	if (len == address_bits(family))
		format_address(family, addr, text);
	else
		format_prefix(family, addr, len, text);
}

void format_range(__u16 low, __u16 high, char text[RANGE_TEXT])
{
	if (low == high)
		snprintf(text, RANGE_TEXT, "%u", low);
	else
		snprintf(text, RANGE_TEXT, "%u-%u", low, high);
}
