// SPDX-License-Identifier: GPL-2.0-only
#include "attach/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "util/address.h"
#include "util/log.h"

/* The family of an address that other hosts may send to; 0 if it is none. What is on lo
 * is mostly a router's: it adds the addresses that it serves there. */
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

/* A rule for one address and certain ports means what it says. */
static bool is_wide(const struct shunt_rule *r)
{
	return r->dst_len < (r->family == AF_INET ? 32 : 128) ||
	       (r->dport_low <= 1 && r->dport_high == 65535);
}

static bool covers(const struct shunt_rule *r, __u8 family, const __u8 addr[16])
{
	return r->family == family && in_prefix(addr, r->dst, r->dst_len);
}

/* The address of this host that such a rule meets packets for; NULL if there is none. */
static const struct ifaddrs *met(const struct ifaddrs *all, const struct shunt_rule *r)
{
	__u8 addr[16], family;

	for (; all; all = all->ifa_next) {
		family = read_address(all, addr);
		if (family && covers(r, family, addr))
			return all;
	}
	return NULL;
}

static void say_own(const struct shunt_rule *r, const struct ifaddrs *a, __u32 others)
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

static void warn_of(const struct shunt_rule *const *rules, __u32 count, __u8 own,
		    const struct ifaddrs *all)
{
	const struct shunt_rule *first = NULL;
	const struct ifaddrs *a, *at = NULL;
	__u32 i, found = 0;

	for (i = 0; i < count; i++) {
		if (rules[i]->action != SHUNT_STEER || rules[i]->own != own ||
		    rule_is_local(rules[i]) || !is_wide(rules[i]))
			continue;
		a = met(all, rules[i]);
		if (a && !found++) {
			first = rules[i];
			at = a;
		}
	}
	if (found)
		say_own(first, at, found - 1);
}

void own_warn(const struct shunt_rule *const *rules, __u32 count)
{
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return;
	warn_of(rules, count, SHUNT_OWN_TAKE, all);
	warn_of(rules, count, SHUNT_OWN_KEEP, all);
	freeifaddrs(all);
}
