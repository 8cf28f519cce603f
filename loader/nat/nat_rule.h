/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT rules as text, and their order of precedence.
 *
 *   tcp|udp dst ADDR[/LEN] [dport LOW[-HIGH]] to ADDR[/LEN][:LOW[-HIGH]]
 */
#ifndef SHUNT_NAT_RULE_H
#define SHUNT_NAT_RULE_H

#include <stdbool.h>
#include <stdio.h>

#include <shunt/abi.h>
#include "util/json.h"

#define NAT_TEXT 192 /* room for any rule */

/* Parses the words of a rule. With match_only the rule is looked up, and 'to' may be missing.
 * Reports errors and returns -EINVAL. */
int nat_rule_parse(int argc, char **argv, bool match_only, struct shunt_nat_rule *ret);

/* Writes the shortest words that nat_rule_parse() reads as r. */
void nat_rule_format(const struct shunt_nat_rule *r, char text[NAT_TEXT]);

/* Writes a JSON object. */
void nat_rule_json(struct json_writer *w, const struct shunt_nat_rule *r);

const char *nat_proto_name(unsigned int proto);

/* Whether both rules have the same protocol and destination prefix. For nat_rule_same_match() they
 * must have the same ports, too. */
bool nat_rule_same_prefix(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);
bool nat_rule_same_match(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

/* Whether two rules with the same match have the same target. */
bool nat_rule_same_effect(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

/* The order of precedence: longer prefixes first, then narrower port ranges, then those that
 * begin lower. Returns 0 only for rules with the same match. */
int nat_rule_compare(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

#endif
