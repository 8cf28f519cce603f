/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy routing that delivers steered packets to this host. */
#ifndef SHUNT_POLICY_ROUTE_H
#define SHUNT_POLICY_ROUTE_H

#include <stdbool.h>

#include <shunt/abi.h>

/*
 * Makes, for IPv4 and for IPv6 if the host has it, the rules that send packets with mark to
 * conf->table (mark_rules.h), and in that table the route "local default dev lo". Sets
 * conf->preference, conf->local_mark, and the bits of the families in conf->run.routed. Fails if
 * the route, or a rule with the mark, is there already. Sets conf->mark, by which route_del() knows
 * that there is something to remove, once neither was found: so a kill before that leaves another
 * shunt's rules alone. A failure undoes itself. Returns 0, or -errno after reporting it.
 */
int route_add(struct shunt_conf *conf, __u32 mark);

/* Makes the rules for packets with conf->local_mark, where they are missing. Returns 0, or -errno
 * after reporting it. */
int route_add_local(const struct shunt_conf *conf);
void route_del_local(const struct shunt_conf *conf);

/* Makes missing rules and routes again, and moves the rules before those of other programs; prints
 * both. Does nothing without steering. *ret_n is the number of repairs. Returns 0, or the first
 * -errno after reporting it. */
int route_restore(struct shunt_conf *conf, unsigned int *ret_n);

/* Whether the rules and the route exist for each family in conf->run.routed. True also if that can't
 * be found out. */
bool route_is_present(const struct shunt_conf *conf);

/* Whether another program has a rule before shunt's, which may take steered packets. Sets
 * *ret_preference to that of the rule. */
bool route_is_preceded(const struct shunt_conf *conf, __u32 *ret_preference);

/* Removes what route_add() made. It is no error if some of it is missing, or belongs to another
 * program. Goes on after a failure. Returns 0, or the first -errno after reporting each. */
int route_del(const struct shunt_conf *conf);

#endif
