/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy routing that delivers steered packets to this host. */
#ifndef SHUNT_POLICY_ROUTE_H
#define SHUNT_POLICY_ROUTE_H

#include <stdbool.h>

#include <shunt/abi.h>

/*
 * Makes, for IPv4 and for IPv6 where the host has it, the rules that send
 * packets with conf->mark to conf->table (mark_rules.h) and the route "local
 * default dev lo" in that table; conf->run.routed says for which. Fails, and leaves
 * nothing behind, if any is there already. Sets conf->local_mark. 0 or -errno,
 * said.
 */
int route_add(struct shunt_conf *conf);

/* Makes the rule for packets with conf->local_mark, if it is missing; 0 or
 * -errno, said. */
int route_add_local(const struct shunt_conf *conf);
void route_del_local(const struct shunt_conf *conf);

/* Makes again what is missing, if steering is on, and goes before the rules of others; says so.
 * *ret_n is how often. 0 or the first -errno, said. */
int route_restore(struct shunt_conf *conf, unsigned int *ret_n);

/* Is all that conf->run.routed names there, and ours? */
bool route_present(const struct shunt_conf *conf);

/* Has another program a rule before ours, which may take what is steered? */
bool route_preceded(const struct shunt_conf *conf, __u32 *ret_preference);

/*
 * Removes what route_add() made. What is missing, or is somebody else's, is no
 * error; goes on after a failure and returns the first one.
 */
int route_del(const struct shunt_conf *conf);

/* The interface that packets to this address leave by now, lo's if it is this
 * host's own; 0 or -errno, unsaid. */
int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex);

/* Is this the broadcast address of a network that this host is in? */
bool route_is_broadcast(int family, const __u8 addr[16]);

#endif
