/* SPDX-License-Identifier: GPL-2.0-only */
/* The interfaces that NAT is attached to. */
#ifndef SHUNT_NAT_ATTACH_H
#define SHUNT_NAT_ATTACH_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "rules/rule.h"

/*
 * Attaches NAT to an interface unless it is; state->admit of such entries is
 * 1, as 'shunt load' did not ask for them. The caller holds the lock. 0 or
 * -errno, said.
 */
int nat_attach(struct shunt_state *states, unsigned int ifindex);

/*
 * Attaches NAT to the interfaces of load, and to those by which packets for
 * the rules' destinations leave now and their targets' answers arrive; fills in
 * the rules' ifindex, and says which target has no route. 0, or -errno, said,
 * and then nothing has changed.
 */
int nat_attach_for_rules(struct shunt_nat_rule *rules, unsigned int n);

/* Undoes the last nat_attach_for_rules(). */
void nat_attach_undo(void);

/* Puts these rules in force, as 'shunt nat add' does with one, and no others.
 * The caller holds the lock and has opened the rules. 0, or -errno, said, and
 * then nothing has changed. */
int nat_replace(struct shunt_nat_rule *rules, unsigned int n, struct rule_changes *ret);

/* Undoes the last nat_replace(). */
void nat_replace_undo(void);

/* Takes the lock, checks that NAT is loaded, opens the rules, and detaches what
 * nobody needs any more: the fd that holds the lock, or -errno, said. */
int nat_lock(void);

/* Takes NAT off the interfaces that it was attached to by nat_attach(), if there
 * are no rules and no flows. The caller holds the lock and has opened the rules. 0;
 * -EBUSY, unsaid, while there are flows; or -errno, said. */
int nat_detach_unused(struct shunt_state *states);

/* Has it been attached to any? */
bool nat_attached(const struct shunt_state *states);

/* Lets programs ask for IPv4 routes, by lo's forwarding; conf must be in the
 * pinned map. 0 or -errno, said. */
int nat_allow_route_lookups(struct shunt_conf *conf);

#endif
