/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and prefixes of IPv4 and IPv6, 16 bytes in network byte order (IPv4 uses the first
 * four), and how they and ports are written. */
#ifndef SHUNT_ADDRESS_H
#define SHUNT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#include <linux/types.h>

/* Room for the text of an address, a prefix and a range of ports. */
#define ADDRESS_TEXT INET6_ADDRSTRLEN
#define PREFIX_TEXT (ADDRESS_TEXT + 4)
#define RANGE_TEXT 16

/* The length in bits of an address of this family: 32 or 128. */
unsigned int address_bits(__u8 family);

/* Clears the bits of the address beyond len. Returns true if any of them was set. */
bool mask_address(__u8 addr[16], unsigned int len);

/* Whether the address begins with the first len bits of the prefix. */
bool in_prefix(const __u8 addr[16], const __u8 prefix[16], __u8 len);

/* Whether the address is a multicast address. */
bool is_multicast(__u8 family, const __u8 addr[16]);

/* Write ADDR or ADDR/LEN into text. */
void format_address(__u8 family, const __u8 *addr, char text[ADDRESS_TEXT]);
void format_prefix(__u8 family, const __u8 *addr, __u8 len, char text[PREFIX_TEXT]);

/* Writes ADDR if len is the whole address, else ADDR/LEN. */
void format_short_prefix(__u8 family, const __u8 *addr, __u8 len, char text[PREFIX_TEXT]);

/* Writes LOW if both are equal, else LOW-HIGH. Ports are in host byte order. */
void format_range(__u16 low, __u16 high, char text[RANGE_TEXT]);

#endif
