/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A NAT rule as words, and which of two rules comes first.
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

/* Reads the words of a rule; with match_only 'to' may be missing. 0, or
 * -EINVAL, said. */
int nat_rule_parse(int argc, char **argv, bool match_only, struct shunt_nat_rule *ret);

/* Writes the shortest words that nat_rule_parse() reads as r. */
void nat_rule_format(const struct shunt_nat_rule *r, char text[NAT_TEXT]);

/* Writes a JSON object. */
void nat_rule_json(struct json_writer *w, const struct shunt_nat_rule *r);

const char *nat_proto_name(unsigned int proto);

/* Are they of one protocol and destination prefix; and of the same ports? */
bool nat_rule_same_prefix(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);
bool nat_rule_same_match(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

/* Do rules of the same match lead to the same target? */
bool nat_rule_same_effect(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

/* An order of all rules: the more special one first; of equally wide ranges the
 * one that begins lower. 0 only if they have the same match. */
int nat_rule_compare(const struct shunt_nat_rule *a, const struct shunt_nat_rule *b);

#endif
