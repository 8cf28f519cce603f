// SPDX-License-Identifier: GPL-2.0-only
#include "util/address.h"
#include "util/parse.h"

#include <arpa/inet.h>
#include <string.h>

#include "util/log.h"
#include "util/text.h"

static bool read_number(const char *s, size_t len, unsigned int max, unsigned int *ret)
{
	unsigned int n = 0;
	size_t i;

	/* Some programs, such as inet_aton(), read a number with a leading zero as octal. */
	if (!len || len > 5 || (len > 1 && *s == '0'))
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + s[i] - '0';
	}
	if (n > max)
		return false;
	*ret = n;
	return true;
}

bool parse_number(const char *word, unsigned int max, unsigned int *ret)
{
	return read_number(word, strlen(word), max, ret);
}

int parse_port(const char *word, __u16 *ret)
{
	unsigned int port;

	if (!parse_number(word, 65535, &port) || !port)
		return refuse("'%s': not a port (1 to 65535, without leading zeros)", word);
	*ret = port;
	return 0;
}

int parse_range(const char *word, __u16 *ret_low, __u16 *ret_high)
{
	const char *dash = strchr(word, '-');
	size_t len = dash ? (size_t)(dash - word) : strlen(word);
	unsigned int low, high;

	if (!read_number(word, len, 65535, &low) || !low ||
	    !parse_number(dash ? dash + 1 : word, 65535, &high) || !high)
		return refuse("'%s': not a port or a range of ports (1 to 65535, without leading "
			      "zeros)",
			      word);
	if (low > high)
		return refuse("'%s': the range is reversed; did you mean %u-%u?", word, high, low);
	*ret_low = low;
	*ret_high = high;
	return 0;
}

/* Reads an address from the len characters at s. Returns its family, or 0 if there is no address. */
static __u8 read_address(const char *s, size_t len, __u8 ret[16])
{
	char text[ADDRESS_TEXT];
	__u8 addr[16] = {};
	__u8 family;

	if (len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, addr) != 1)
		return 0;
	memcpy(ret, addr, sizeof(addr));
	return family;
}

int parse_endpoint(const char *word, struct endpoint *ret)
{
	bool brackets = *word == '[';
	const char *host = word + brackets;
	const char *end = strchr(host, brackets ? ']' : ':');
	struct endpoint e = {};
	unsigned int port;

	/* A word with two colons or more, and no brackets, is an IPv6 address without a port. */
	if (!end || (!brackets && strchr(end + 1, ':')))
		end = host + strlen(host);
	e.family = read_address(host, end - host, e.addr);
	if (!e.family || (brackets && e.family != AF_INET6))
		return refuse("'%s': not an IPv4 or IPv6 address", word);
	if (brackets) {
		if (*end != ']' || (end[1] && end[1] != ':'))
			return refuse("'%s': not an address and port", word);
		end++;
	}
	if (*end) {
		if (!parse_number(end + 1, 65535, &port) || !port)
			return refuse("'%s': the port is not a number from 1 to 65535, without leading "
				      "zeros",
				      word);
		e.port = port;
	}
	*ret = e;
	return 0;
}

int parse_prefix(const char *word, __u8 *ret_family, __u8 ret_addr[16], __u8 *ret_len)
{
	const char *slash = strchr(word, '/');
	char text[ADDRESS_TEXT];
	unsigned int bits, len;
	__u8 addr[16], family;

	family = read_address(word, slash ? (size_t)(slash - word) : strlen(word), addr);
	if (!family)
		return refuse("'%s': not an IPv4 or IPv6 address or prefix", word);
	bits = len = address_bits(family);
	if (slash && !parse_number(slash + 1, bits, &len))
		return refuse("'%s': the prefix length is not a number from 0 to %u, without leading "
			      "zeros",
			      word, bits);
	if (mask_address(addr, len)) {
		format_address(family, addr, text);
		return refuse("'%s': bits are set beyond the prefix length; did you mean %s/%u?",
			      word, text, len);
	}
	*ret_family = family;
	memcpy(ret_addr, addr, sizeof(addr));
	*ret_len = len;
	return 0;
}

int parse_ifname(const char *word, char ret[SHUNT_IFNAME])
{
	if (strpbrk(word, "*?["))
		return refuse("'%s': a pattern; a rule is for one interface or for all", word);
	if (!*word || strlen(word) >= SHUNT_IFNAME || strpbrk(word, "/: \t\r\n\v\f") ||
	    !strcmp(word, ".") || !strcmp(word, "..") || strcmp(printable(word), word))
		return refuse("'%s': not the name of an interface", word);
	strcpy(ret, word);
	return 0;
}
