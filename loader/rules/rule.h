/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A steering rule as words, and which of two rules comes first. No maps here;
 * loader/rules.c keeps the rules that are in force.
 *
 *   tcp|udp dst ADDR[/LEN] [dport LOW[-HIGH]] [src ADDR[/LEN]]
 *   [sport LOW[-HIGH]] [iface NAME | origin local] (to ADDR:PORT [own take|keep]
 *   [unknown auto|reset|pass] | pass) [service ID] [shadowed]
 *
 * In a rule file 'shadowed' is for those that rules/shadowed.h keeps.
 */
#ifndef SHUNT_RULE_H
#define SHUNT_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <shunt/abi.h>
#include "util/json.h"

/* Room for any rule that rule_format() writes. */
#define RULE_TEXT 384

/* An address and a port; the address in network byte order, IPv4 in the first
 * four bytes, the port in host byte order, 0 if there is none. */
struct endpoint {
	__u8 family;
	__u16 port;
	__u8 addr[16];
};

/* What a set of rules changes. */
struct rule_changes {
	__u32 added;
	__u32 changed;
	__u32 deleted;
	__u32 same;
};

/* What a rule has done. */
struct rule_counts {
	__u64 packets;
	__u64 bytes;
	__u64 flows;
	__u64 misses;
	__u64 own;
	__u64 loops;
	__u64 resets;
	__u32 hit;  /* ticks (SHUNT_TICKS): see struct shunt_rule_counters */
	__u32 miss;
};

/* Reads the words of a rule; node and counters are 0 in *ret. Says what is wrong
 * and returns -EINVAL. */
int rule_parse(int argc, char **argv, struct shunt_rule *ret);

/* The same for a rule to be looked up: it need not say what happens to the
 * packets. */
int rule_parse_match(int argc, char **argv, struct shunt_rule *ret);

/* Writes the shortest words that rule_parse() reads as r. */
void rule_format(const struct shunt_rule *r, char *text, size_t size);

/* Sets ifindex to that of the interface ifname, or to SHUNT_NO_IFINDEX: the rule
 * waits until there is one. 0 or -errno, reported. */
int rule_find_iface(struct shunt_rule *r);

/* What a rule does with packets for services of this host, if it does not say: a rule
 * for a single address means them, others leave them alone. */
enum shunt_own rule_own_default(const struct shunt_rule *r);

/* Is it for what this host itself sends? */
bool rule_is_local(const struct shunt_rule *r);

/* Do the rules match the same packets? Interfaces are told by name, so that a
 * rule for one that is gone or was made anew can still be named. */
bool rule_same_match(const struct shunt_rule *a, const struct shunt_rule *b);

/* Do rules of the same match do the same to a packet? */
bool rule_same_effect(const struct shunt_rule *a, const struct shunt_rule *b);

/* A rule in words is the one that is in force, with the router that made that, if both
 * do the same otherwise: then true. */
bool rule_keep_router(const struct shunt_rule *was, struct shunt_rule *r);

/* Precedence of two rules of one protocol and destination prefix: negative if
 * a is tried first, 0 only if they have the same match. */
int rule_compare(const struct shunt_rule *a, const struct shunt_rule *b);

/* An order of all rules: by protocol, destination prefix and precedence. */
int rule_order(const struct shunt_rule *a, const struct shunt_rule *b);

/* Why winner is tried before loser: said of the loser, and of the winner. */
const char *rule_lost(const struct shunt_rule *winner, const struct shunt_rule *loser);
const char *rule_won(const struct shunt_rule *winner, const struct shunt_rule *loser);

/* Writes a JSON object, or just its members into one that is open. */
void rule_json(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c);
void rule_json_fields(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c);

/* Reads ADDR, ADDR:PORT, [ADDR] or [ADDR]:PORT; 0, or -EINVAL, said. */
int parse_endpoint(const char *word, struct endpoint *ret);

/* Reads a port, 1 to 65535; 0, or -EINVAL, said. */
int parse_port(const char *word, __u16 *ret);

/* Reads ADDR[/LEN], network byte order, and LOW[-HIGH]; says what is wrong and
 * returns -EINVAL. */
int parse_prefix(const char *word, __u8 *ret_family, __u8 ret_addr[16], __u8 *ret_len);
int parse_range(const char *word, __u16 *ret_low, __u16 *ret_high);

/* Reads the name of one interface, no pattern; 0, or -EINVAL, said. */
int parse_ifname(const char *word, char ret[SHUNT_IFNAME]);

/* Reads a decimal number of at most max, without leading zeros; false, unsaid, if
 * it is none. */
bool parse_number(const char *word, unsigned int max, unsigned int *ret);

/* Clears the bits of addr beyond len; true if any was set. */
bool mask_address(__u8 addr[16], unsigned int len);

bool in_prefix(const __u8 addr[16], const __u8 prefix[16], __u8 len);

bool is_multicast(__u8 family, const __u8 addr[16]);

#endif
