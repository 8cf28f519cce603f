/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces that come and go while shunt is loaded. */
#ifndef SHUNT_IFACES_H
#define SHUNT_IFACES_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "attach/links.h"
#include "rules/rule.h"

/*
 * Attaches steering to the interfaces that a pattern names, but for ports of bridges and
 * the like, and all else to those that were made anew or are back; takes it off those that
 * are gone, maybe to another namespace, or became ports. Rules for an interface that was
 * made anew hold for it. The caller holds the lock, in the namespace of load.
 * Goes on after a failure; 0 or the first -errno, said.
 */
int ifaces_sync(const struct shunt_conf *conf, struct shunt_attachment *attachments);

/* Does a pattern name the interface, be it a port or not? */
bool ifaces_match(const struct shunt_attachment *attachments, const struct link *iface);

/* Warns of ports that steering is attached to because the user named them. */
void ifaces_warn_ports(void);

/* Is there a pattern or an interface, so that it is worth looking? */
bool ifaces_wanted(const struct shunt_attachment *attachments);

/* Says which of these rules, that are in force, have no effect for want of an
 * interface that steering is attached to. */
void ifaces_warn(const struct shunt_rule *const *rules, __u32 count);

/* An fd that is readable when an interface or a routing rule came, changed or
 * went, or what shunt had made there was removed; -errno, unsaid. */
int ifaces_watch(void);

/* Takes in what the fd has to say; false if that was nothing. */
bool ifaces_changed(int watch);

#endif
