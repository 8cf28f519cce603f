/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_STEER_H
#define SHUNT_STEER_H

#include "rules/rule_store.h"

/* The source port of a tested packet that has none. */
#define TEST_SPORT 40000

int steer_test(int argc, char **argv);

/* Prints rules with what they have done, as text or as a JSON array. */
void print_rules(const struct rule_copy *all, __u32 count);

/* Is there a listener where the rule steers to, here and now: enum shunt_answer,
 * or -errno, said. */
int rule_listens(const struct shunt_rule *r);

/* Does the rule steer to [::1], where nobody listens, but somebody at the same port of
 * 127.0.0.1? That is ziti-router, for which a service has an IPv6 address: it can't take
 * IPv6. False if that can't be told. */
bool only_ipv4_listens(const struct shunt_rule *r);

/* Asks that of rules that were copied; the caller still holds the lock. */
void find_listeners(struct rule_copy *all, __u32 count);

#endif
