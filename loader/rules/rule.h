/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One steering rule: its words, its text, and its precedence over other rules. No maps are
 * used here; rules/rule_store.h has the rules that are in force.
 *
 *   tcp|udp dst ADDR[/LEN] [dport LOW[-HIGH]] [src ADDR[/LEN]]
 *   [sport LOW[-HIGH]] [iface NAME | origin local] (to ADDR:PORT [own take|keep]
 *   [unknown auto|reset|pass] | pass) [service ID] [shadowed]
 *
 * Only rule files have the word 'shadowed': see rules/shadowed.h.
 */
#ifndef SHUNT_RULE_H
#define SHUNT_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>
#include "util/json.h"

/* Room for any rule that rule_format() writes. */
#define RULE_TEXT 448

/* How many rules a new set of rules adds, changes, deletes and leaves as they are. */
struct rule_changes {
	__u32 added;
	__u32 changed;
	__u32 deleted;
	__u32 same;
};

/* The sums of a rule's counters over all shards. struct shunt_rule_counters describes the members. */
struct rule_counts {
	__u64 packets;
	__u64 bytes;
	__u64 flows;
	__u64 misses;
	__u64 own_services;
	__u64 loops;
	__u64 resets;
	__u32 last_hit; /* ticks (SHUNT_TICKS) */
	__u32 last_miss;
};

/* The words of enum shunt_unknown. */
extern const char *const rule_unknown_names[];

/* Reads the words of a rule. *ret has node and counters 0. Reports what is wrong and
 * returns -EINVAL. */
int rule_parse(int argc, char **argv, struct shunt_rule *ret);

/* Reads the words of a rule that is looked up: 'to' and 'pass' may be left out. */
int rule_parse_match(int argc, char **argv, struct shunt_rule *ret);

/* Writes the shortest words that rule_parse() reads as r. */
void rule_format(const struct shunt_rule *r, char *text, size_t size);

/* Sets ifindex to that of the interface ifname. Without such an interface, the rule waits:
 * ifindex is SHUNT_NO_IFINDEX. Reports errors and returns -errno. */
int rule_find_iface(struct shunt_rule *r);

/* What a rule without the word 'own' does with packets for services of this host. A rule for
 * a single address takes them, because the operator named that address; others keep them. */
enum shunt_own rule_own_default(const struct shunt_rule *r);

/* Whether the rule has 'origin local': it is for packets that this host sends. */
bool rule_is_local(const struct shunt_rule *r);

/* Whether the rules match the same packets. Interfaces are compared by name, so that a rule
 * can be named whose interface is gone or was made again. */
bool rule_same_match(const struct shunt_rule *a, const struct shunt_rule *b);

/* Whether two rules with the same match do the same with a packet. */
bool rule_same_effect(const struct shunt_rule *a, const struct shunt_rule *b);

/* Gives r, which was read from words, the router of the rule in force. Returns true if both
 * are the same rule then; else r has no router. */
bool rule_keep_router(const struct shunt_rule *in_force, struct shunt_rule *r);

/* Precedence of two rules of one protocol and destination prefix: negative if a is tried first, 0
 * only if they have the same match. */
int rule_compare(const struct shunt_rule *a, const struct shunt_rule *b);

/* A total order: by protocol, destination prefix and precedence. */
int rule_order(const struct shunt_rule *a, const struct shunt_rule *b);

/* Why winner is tried before loser: a text about the loser, a text about the winner. */
const char *rule_lost(const struct shunt_rule *winner, const struct shunt_rule *loser);
const char *rule_won(const struct shunt_rule *winner, const struct shunt_rule *loser);

/* Writes a JSON object, or only its members into an object that is open. */
void rule_json(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c);
void rule_json_fields(struct json_writer *w, const struct shunt_rule *r,
		      const struct rule_counts *c);

#endif
