// SPDX-License-Identifier: GPL-2.0-only
#include "nat/nat_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "rules/rule.h"
#include "util/address.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"

#define TO_TEXT (ADDRESS_TEXT + 24)

/* Parses ADDR[/LEN][:LOW[-HIGH]]. An IPv6 address with a port stands in brackets. */
static int parse_to(const char *word, struct shunt_nat_rule *r, __u8 *ret_family)
{
	const char *slash = strchr(word, '/'), *bracket = strchr(word, ']'), *colon;
	char address[ADDRESS_TEXT + 8];
	size_t len;
	int error;

	colon = strchr(slash ? slash : bracket ? bracket : word, ':');
	if (colon && !slash && !bracket && strchr(colon + 1, ':'))
		colon = NULL; /* IPv6 */
	len = colon ? (size_t)(colon - word) : strlen(word);
	if (len >= sizeof(address))
		return refuse("'%s': not an address", word);
	snprintf(address, sizeof(address), "%.*s", (int)len, word);
	if (*word == '[' && bracket && bracket < word + len) {
		memmove(address + (bracket - word), address + (bracket - word) + 1,
			strlen(address + (bracket - word)));
		memmove(address, address + 1, strlen(address));
	}
	error = parse_prefix(address, ret_family, r->to, &r->to_len);
	if (error || !colon)
		return error;
	return parse_range(colon + 1, &r->to_low, &r->to_high);
}

struct words {
	const char *dst, *dport, *to;
};

static int find_words(int argc, char **argv, struct words *w)
{
	const char **value;
	int i;

	for (i = 1; i < argc; i += 2) {
		value = !strcmp(argv[i], "dst")     ? &w->dst
			: !strcmp(argv[i], "dport") ? &w->dport
			: !strcmp(argv[i], "to")    ? &w->to
						    : NULL;
		if (!value)
			return refuse("'%s': no word of a NAT rule; see 'shunt nat help'", argv[i]);
		if (*value)
			return refuse("'%s' is given twice", argv[i]);
		if (i + 1 == argc)
			return refuse("'%s': a value is missing", argv[i]);
		*value = argv[i + 1];
	}
	return 0;
}

static int check_to(const struct shunt_nat_rule *r, const struct words *w, __u8 to_family)
{
	int wide = r->dport_high - r->dport_low, to_wide = r->to_high - r->to_low;

	if (to_family != r->family)
		return refuse("'to %s' and 'dst %s': one is IPv4, the other IPv6", w->to, w->dst);
	if (r->to_len != r->dst_len && r->to_len != address_bits(r->family))
		return refuse("'to %s': a prefix of /%u, or a single address, for 'dst %s'", w->to,
			      r->dst_len, w->dst);
	if (to_wide && to_wide != wide)
		return refuse("'to %s': one port, or as many as dport has (%d)", w->to, wide + 1);
	return 0;
}

static bool is_zero(const __u8 addr[16])
{
	static const __u8 zero[16];

	return !memcmp(addr, zero, sizeof(zero));
}

/* Refuses addresses and prefixes that no packet can be translated from or to. */
static int check_address(const char *name, const char *word, __u8 family, const __u8 *addr,
			 __u8 len)
{
	if (len == address_bits(family) && is_zero(addr))
		return refuse("'%s %s': no host has this address", name, word);
	if (is_multicast(family, addr) && len >= (family == AF_INET ? 4 : 8))
		return refuse("'%s %s': multicast can't be translated", name, word);
	if (family == AF_INET && !memcmp(addr, "\xff\xff\xff\xff", 4))
		return refuse("'%s %s': broadcast can't be translated", name, word);
	return 0;
}

static bool changes_nothing(const struct shunt_nat_rule *r)
{
	return r->to_len == r->dst_len && !memcmp(r->to, r->dst, sizeof(r->to)) &&
	       (!r->to_low || (r->to_low == r->dport_low && r->to_high == r->dport_high));
}

static int check_sense(const struct shunt_nat_rule *r, const struct words *w)
{
	int error = check_address("dst", w->dst, r->family, r->dst, r->dst_len);

	if (error)
		return error;
	error = check_address("to", w->to, r->family, r->to, r->to_len);
	if (error)
		return error;
	if (changes_nothing(r))
		return refuse("'to %s': that is 'dst %s', and nothing would change", w->to, w->dst);
	return 0;
}

/* Parses the values of w into *r. */
static int parse_values(const struct words *w, struct shunt_nat_rule *r)
{
	__u8 to_family;
	int error = parse_prefix(w->dst, &r->family, r->dst, &r->dst_len);

	if (error)
		return error;
	if (w->dport) {
		error = parse_range(w->dport, &r->dport_low, &r->dport_high);
		if (error)
			return error;
	}
	if (r->dport_low == 1 && r->dport_high == 65535)
		r->dport_low = 0; /* all ports */
	if (!w->to)
		return 0;
	error = parse_to(w->to, r, &to_family);
	return error ? error : check_to(r, w, to_family);
}

int nat_rule_parse(int argc, char **argv, bool match_only, struct shunt_nat_rule *ret)
{
	struct shunt_nat_rule r = { .dport_high = 65535 };
	struct words w = {};
	int error;

	if (argc < 1)
		return refuse("a NAT rule is missing; see 'shunt nat help'");
	if (strcmp(argv[0], "tcp") && strcmp(argv[0], "udp"))
		return refuse("'%s': a NAT rule begins with tcp or udp", argv[0]);
	r.proto = *argv[0] == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	error = find_words(argc, argv, &w);
	if (error)
		return error;
	if (!w.dst)
		return refuse("a NAT rule needs 'dst ADDR[/LEN]'");
	if (!w.to && !match_only)
		return refuse("a NAT rule needs 'to ADDR[/LEN][:PORT]'");
	error = parse_values(&w, &r);
	if (error)
		return error;
	error = match_only ? 0 : check_sense(&r, &w);
	if (error)
		return error;
	*ret = r;
	return 0;
}

const char *nat_proto_name(unsigned int proto)
{
	return proto == IPPROTO_TCP ? "tcp" : "udp";
}

static void format_to(const struct shunt_nat_rule *r, char text[TO_TEXT])
{
	char prefix[PREFIX_TEXT], range[RANGE_TEXT];

	format_short_prefix(r->family, r->to, r->to_len, prefix);
	format_range(r->to_low, r->to_high, range);
	if (!r->to_low)
		snprintf(text, TO_TEXT, "%s", prefix);
	else
		snprintf(text, TO_TEXT, r->family == AF_INET6 ? "[%s]:%s" : "%s:%s", prefix, range);
}

void nat_rule_format(const struct shunt_nat_rule *r, char text[NAT_TEXT])
{
	char dst[PREFIX_TEXT], range[RANGE_TEXT], to[TO_TEXT];

	format_short_prefix(r->family, r->dst, r->dst_len, dst);
	format_range(r->dport_low, r->dport_high, range);
	format_to(r, to);
	snprintf(text, NAT_TEXT, "%s dst %s%s%s to %s", nat_proto_name(r->proto), dst,
		 r->dport_low ? " dport " : "", r->dport_low ? range : "", to);
}

void nat_rule_json(struct json_writer *w, const struct shunt_nat_rule *r)
{
	char text[PREFIX_TEXT], to[TO_TEXT], range[RANGE_TEXT];

	format_short_prefix(r->family, r->dst, r->dst_len, text);
	format_range(r->dport_low ? r->dport_low : 1, r->dport_high, range);
	format_to(r, to);
	json_open(w, '{');
	json_string(w, "proto", nat_proto_name(r->proto));
	json_string(w, "dst", text);
	json_string(w, "dport", range);
	json_string(w, "to", to);
	json_number(w, "flows", r->flows);
	json_number(w, "refused", r->refused);
	json_close(w, '}');
}

bool nat_rule_same_prefix(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b)
{
	return a->family == b->family && a->proto == b->proto && a->dst_len == b->dst_len &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst));
}

bool nat_rule_same_match(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b)
{
	return nat_rule_same_prefix(a, b) && a->dport_low == b->dport_low &&
	       a->dport_high == b->dport_high;
}

static int width(const struct shunt_nat_rule *r)
{
	return r->dport_high - r->dport_low;
}

int nat_rule_compare(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b)
{
	int c = a->family - b->family;

	if (!c)
		c = a->proto - b->proto;
	if (!c)
		c = b->dst_len - a->dst_len;
	if (!c)
		c = memcmp(a->dst, b->dst, sizeof(a->dst));
	if (!c)
		c = width(a) - width(b);
	return c ? c : a->dport_low - b->dport_low;
}

bool nat_rule_same_effect(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b)
{
	return a->to_len == b->to_len && !memcmp(a->to, b->to, sizeof(a->to)) &&
	       a->to_low == b->to_low && a->to_high == b->to_high;
}
