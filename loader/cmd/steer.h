/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_STEER_H
#define SHUNT_STEER_H

#include "rules/rule_copy.h"
#include "rules/rule_store.h"

/* The source port of a tested packet that has none. */
#define TEST_SPORT 40000

int steer_test(int argc, char **argv);

/* Answers the test on each line of standard input by a line. */
int steer_test_lines(void);

/* Prints rules with what they have done, as text or as a JSON array. */
void print_rules(const struct rule_copy *all, __u32 count);

/* Whether there is a listener now where the rule steers to: enum shunt_answer, or -errno after
 * reporting it. */
int rule_listens(const struct shunt_rule *r);

/* Whether the rule steers to [::1], where no program listens, and a program listens at the same
 * port of 127.0.0.1. ziti-router does so; it can't take IPv6, although its service has an IPv6
 * address. False if the listeners can't be found out. */
bool only_ipv4_listens(const struct shunt_rule *r);

/* Sets only_ipv4 of rules that were copied. The caller still holds the lock. */
void find_listeners(struct rule_copy *all, __u32 count);

#endif
