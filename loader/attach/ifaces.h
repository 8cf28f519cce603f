/* SPDX-License-Identifier: GPL-2.0-only */
/* Follows the interfaces that come and go while shunt is loaded. */
#ifndef SHUNT_IFACES_H
#define SHUNT_IFACES_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "attach/links.h"
#include "rules/rule.h"

/*
 * Makes the attachments fit the interfaces that exist now:
 * - gives entries the present names of their interfaces;
 * - attaches steering to the interfaces that a pattern names, but not to ports of bridges and the
 *   like;
 * - attaches to interfaces that were made again what was attached to those of the same name, and
 *   makes the rules for them hold again;
 * - detaches from interfaces that are gone, perhaps to another namespace, and from those that a
 *   pattern named and that are ports now.
 * Halves that are not loaded are left alone; steer: the settings of steering, NULL if it is not
 * loaded. The caller holds the lock, in the namespace of load. Goes on after a failure. Returns 0,
 * or the first -errno after reporting each.
 */
int ifaces_sync(const struct shunt_conf *steer, struct shunt_attachment *attachments);

/* Whether a pattern names the interface; ports count, too. */
bool iface_matches_pattern(const struct shunt_attachment *attachments, const struct link *iface);

/* Warns of interfaces where steering is attached but misses packets: ports, members of a VRF, and
 * interfaces below a macvlan. */
void ifaces_warn_topology(void);

/* Whether there is an entry for an interface or a pattern, so that ifaces_sync() has work. */
bool attachments_have_ifaces(const struct shunt_attachment *attachments);

/* Warns of those of the rules that have no effect because steering is not attached where their
 * packets pass. */
void ifaces_warn_idle_rules(const struct shunt_rule *const *rules, __u32 count);

/* Returns a netlink socket that is readable when an interface or a routing rule has changed, or
 * when a route or a filter of shunt was removed. Returns -errno without a message. */
int ifaces_watch(void);

/* Reads all messages of that socket. Returns whether there were any. */
bool ifaces_changed(int watch);

#endif
