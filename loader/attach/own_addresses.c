// SPDX-License-Identifier: GPL-2.0-only
#include "attach/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "util/address.h"
#include "util/log.h"

/* Copies an address that other hosts may send to. Returns its family, 0 if it is none. Addresses on
 * lo do not count: mostly a router has added them, for the services that it serves. */
static __u8 read_address(const struct ifaddrs *a, __u8 ret[16])
{
	__u8 family = a->ifa_addr ? a->ifa_addr->sa_family : 0;

	memset(ret, 0, 16);
	if (a->ifa_flags & IFF_LOOPBACK)
		return 0;
	if (family == AF_INET)
		memcpy(ret, &((const struct sockaddr_in *)a->ifa_addr)->sin_addr, 4);
	else if (family == AF_INET6)
		memcpy(ret, &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr, 16);
	else
		return 0;
	return family;
}

/* Whether the rule is for more than certain ports of one address. A narrower rule is surely meant
 * for this host's address. */
static bool is_wide(const struct shunt_rule *r)
{
	return r->dst_len < address_bits(r->family) ||
	       (r->dport_low <= 1 && r->dport_high == 65535);
}

static bool matches_address(const struct shunt_rule *r, __u8 family, const __u8 addr[16])
{
	return r->family == family && in_prefix(addr, r->dst, r->dst_len);
}

/* The first address of this host that the rule matches; NULL if there is none. */
static const struct ifaddrs *find_matched(const struct ifaddrs *all, const struct shunt_rule *r)
{
	__u8 addr[16], family;

	for (; all; all = all->ifa_next) {
		family = read_address(all, addr);
		if (family && matches_address(r, family, addr))
			return all;
	}
	return NULL;
}

/* Prints the message about one rule, and how many others are like it. */
static void print_match(const struct shunt_rule *r, const struct ifaddrs *a, __u32 others)
{
	char rule[RULE_TEXT], text[INET6_ADDRSTRLEN], more[48] = "";
	__u8 addr[16], family = read_address(a, addr);

	rule_format(r, rule, sizeof(rule));
	inet_ntop(family, addr, text, sizeof(text));
	if (others)
		snprintf(more, sizeof(more), " (and so do %u other rules)", others);
	if (r->own == SHUNT_OWN_TAKE)
		warn("'%s' takes packets for %s, an address of this host, also those for its own "
		     "services such as ssh%s",
		     rule, text, more);
	else
		say("'%s' covers %s, an address of this host: its own services there keep their "
		    "packets; 'own take' takes these, too%s",
		    rule, text, more);
}

/* Prints one message for all rules with this value of `own`. */
static void warn_of_rules(const struct shunt_rule *const *rules, __u32 count, __u8 own,
			  const struct ifaddrs *all)
{
	const struct shunt_rule *first = NULL;
	const struct ifaddrs *a, *at = NULL;
	__u32 i, found = 0;

	for (i = 0; i < count; i++) {
		if (rules[i]->action != SHUNT_STEER || rules[i]->own != own ||
		    rule_is_local(rules[i]) || !is_wide(rules[i]))
			continue;
		a = find_matched(all, rules[i]);
		if (a && !found++) {
			first = rules[i];
			at = a;
		}
	}
	if (found)
		print_match(first, at, found - 1);
}

void own_addresses_warn(const struct shunt_rule *const *rules, __u32 count)
{
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return;
	warn_of_rules(rules, count, SHUNT_OWN_TAKE, all);
	warn_of_rules(rules, count, SHUNT_OWN_KEEP, all);
	freeifaddrs(all);
}
