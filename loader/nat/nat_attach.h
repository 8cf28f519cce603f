/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT on interfaces: attached for the rules, detached when nothing needs it. */
#ifndef SHUNT_NAT_ATTACH_H
#define SHUNT_NAT_ATTACH_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "rules/rule.h"

/*
 * Attaches NAT to an interface, unless it is attached there. The new entries get
 * auto_attached, because 'shunt load' did not ask for NAT on this interface. The caller holds
 * the lock. Reports errors and returns -errno.
 */
int nat_attach(struct shunt_attachment *attachments, unsigned int ifindex);

/*
 * Attaches NAT to the interfaces of load, to those by which packets for the rules'
 * destinations leave now, and to those by which the targets are reached. Fills in the
 * rules' ifindex, and warns of destinations and targets without a route. Reports errors and
 * returns -errno; then nothing has changed.
 */
int nat_attach_for_rules(struct shunt_nat_rule *rules, unsigned int n);

/* Undoes the last nat_attach_for_rules(). */
void nat_attach_undo(void);

/* Replaces all rules by these, and attaches NAT for them. The caller holds the lock and has
 * opened the rules. Reports errors and returns -errno; then nothing has changed. */
int nat_replace(struct shunt_nat_rule *rules, unsigned int n, struct rule_changes *ret);

/* Undoes the last nat_replace(). */
void nat_replace_undo(void);

/* Takes the lock, checks that NAT is loaded, opens the rules, and detaches NAT if nothing needs
 * it any more. Returns the fd that holds the lock. Reports errors and returns -errno. */
int nat_lock(void);

/* Detaches NAT from the interfaces where nat_attach() attached it, if there are no rules and
 * no flows. The caller holds the lock and has opened the rules. Returns -EBUSY without a
 * message while there are flows; reports other errors and returns -errno. */
int nat_detach_unused(struct shunt_attachment *attachments);

/* Whether nat_attach() has attached NAT to any interface. */
bool nat_attached(const struct shunt_attachment *attachments);

/* Switches lo's forwarding on, so that programs can look up IPv4 routes. conf must be in the
 * pinned map. Reports errors and returns -errno. */
int nat_allow_route_lookups(struct shunt_conf *conf);

#endif
