// SPDX-License-Identifier: GPL-2.0-only
/* map_update and map_delete_elem, with the words of the tproxy splicer's programs. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attach/fragment_listeners.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/rule_socket.h"
#include "rules/rule.h"
#include "rules/rule_store.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"

#define PREFIX_MAX 128

/* Writes IP/PLEN without the host bits, because the old tools ignored them. rule_parse() refuses words
 * that are wrong. */
static void write_prefix(const char *ip, const char *plen, char text[PREFIX_MAX])
{
	char address[INET6_ADDRSTRLEN];
	int family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	unsigned int len;
	__u8 addr[16] = {};

	if (inet_pton(family, ip, addr) == 1 &&
	    parse_number(plen, family == AF_INET ? 32 : 128, &len)) {
		mask_address(addr, len);
		ip = inet_ntop(family, addr, address, sizeof(address));
	}
	snprintf(text, PREFIX_MAX, "%s/%s", ip, plen);
}

/* Reads the words of map_update as a rule for proto. */
static int parse_update(const char *proto, char **argv, struct shunt_rule *ret)
{
	char prefix[PREFIX_MAX], to[PREFIX_MAX];
	const char *words[10] = { proto, "dst", prefix, "to", to };
	int count = 5, error = parse_port(argv[5], &ret->to_port);

	if (error)
		return error;
	write_prefix(argv[1], argv[2], prefix);
	snprintf(to, sizeof(to), strchr(argv[1], ':') ? "[::1]:%s" : "127.0.0.1:%s", argv[5]);
	if (strcmp(argv[3], "0")) {
		words[count++] = "dport";
		words[count++] = argv[3];
	}
	if (strcmp(argv[4], "0")) {
		words[count++] = "sport";
		words[count++] = argv[4];
	}
	error = rule_parse(count, (char **)words, ret);
	if (error)
		return error;
	ret->compat = 1;
	return 0;
}

/* Adds both rules. If the second can't be added, the first is undone. */
static int add_both(const struct shunt_rule *tcp, const struct shunt_rule *udp)
{
	const struct shunt_rule *was = rules_find(tcp);
	struct shunt_rule before = was ? *was : *tcp;
	bool added;
	int error = rules_add(tcp, &added);

	if (error)
		return error;
	error = rules_add(udp, &added);
	if (error && was)
		rules_add(&before, &added);
	else if (error)
		rules_del(tcp);
	else
		listeners_add_wanted(&udp, 1);
	return error;
}

int cmd_map_update(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule tcp, udp;
	int error;

	if (argc != 6)
		return refuse("Usage: %s <ip dest address or prefix> <prefix length> <dst_port> "
			      "<src_port> <tproxy_port>",
			      argv[0]);
	error = parse_update("tcp", argv, &tcp);
	if (error)
		return error;
	error = parse_update("udp", argv, &udp);
	if (error)
		return error;
	if (must_ask())
		return ask_rule_server("map_update", argc, argv);
	lock = rules_lock();
	if (lock < 0)
		return lock;
	return add_both(&tcp, &udp);
}

static bool made_for(const struct shunt_rule *r, const struct shunt_rule *match)
{
	return r->compat && r->family == match->family && r->dst_len == match->dst_len &&
	       !memcmp(r->dst, match->dst, sizeof(r->dst));
}

/* Deletes the rules of one prefix, the first in precedence last. */
static int delete_prefix(const struct shunt_rule *match, char **argv)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	bool any = false;
	__u32 count = 0;
	int error = rules_sorted(&all, &count);

	if (error)
		return error;
	while (count) {
		if (!made_for(all[--count], match))
			continue;
		error = rules_del(all[count]);
		if (error)
			return error;
		any = true;
	}
	if (!any)
		say_missing("entry", 2, argv + 1);
	return 0;
}

int cmd_map_delete_elem(int argc, char **argv)
{
	char prefix[PREFIX_MAX];
	const char *words[] = { "tcp", "dst", prefix };
	_cleanup_lock_ int lock = -1;
	struct shunt_rule match;
	int error;

	if (argc != 3)
		return refuse("Usage: %s <ip dest address or prefix> <prefix length>", argv[0]);
	write_prefix(argv[1], argv[2], prefix);
	error = rule_parse_match(3, (char **)words, &match);
	if (error)
		return error;
	if (must_ask())
		return ask_rule_server("map_delete_elem", argc, argv);
	lock = rules_lock();
	if (lock < 0)
		return lock;
	return delete_prefix(&match, argv);
}
