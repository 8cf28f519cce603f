/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads words of a command: numbers, ports, addresses and names of interfaces. The functions of
 * type int return 0, or -EINVAL after reporting what is wrong.
 */
#ifndef SHUNT_PARSE_H
#define SHUNT_PARSE_H

#include <stdbool.h>

#include <shunt/rule_store.h>

struct endpoint {
	__u8 family;
	__u16 port; /* host byte order; 0: there is none */
	__u8 addr[16];
};

/* Reads a decimal number from 0 to max, of at most five digits and without leading zeros.
 * Returns false without a message if the word is not such a number. */
bool parse_number(const char *word, unsigned int max, unsigned int *ret);

/* Reads a port, 1 to 65535. */
int parse_port(const char *word, __u16 *ret);

/* Reads LOW[-HIGH], ports from 1 to 65535. */
int parse_range(const char *word, __u16 *ret_low, __u16 *ret_high);

/* Reads ADDR, ADDR:PORT, [ADDR] or [ADDR]:PORT. */
int parse_endpoint(const char *word, struct endpoint *ret);

/* Reads ADDR[/LEN]. Bits beyond the length are refused. */
int parse_prefix(const char *word, __u8 *ret_family, __u8 ret_addr[16], __u8 *ret_len);

/* Reads the name of one interface. A pattern is refused, and so is a name with control
 * characters, or one that the kernel does not allow. */
int parse_ifname(const char *word, char ret[SHUNT_IFNAME]);

#endif
