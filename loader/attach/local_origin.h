/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes what rules with 'origin local' need: programs at the egress of the interfaces and at lo's
 * ingress, the routing rule for the second mark, and lo's setting accept_local, without which lo
 * drops packets whose source is an address of this host. All of it is made for the first such rule
 * and stays until unload, because flows outlive their rules.
 */
#ifndef SHUNT_LOCAL_ORIGIN_H
#define SHUNT_LOCAL_ORIGIN_H

#include <shunt/abi.h>

/* Makes it, unless it is there; a failure undoes itself. The caller holds the lock, in the
 * namespace of load. Returns 0, or -errno after reporting it. */
int local_origin_begin(void);

/* Attaches the programs to lo and to the interfaces that have steering, where they are missing.
 * Returns 0, or -errno after reporting it. */
int local_origin_attach(struct shunt_attachment *attachments);

#endif
