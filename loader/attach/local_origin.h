/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rules with 'origin local' need: programs at the egress of the
 * interfaces and at lo's ingress, and a lo that takes packets whose source is
 * an address of this host (accept_local). It is made when the first such rule
 * comes, and stays until unload, for the flows outlive their rules.
 */
#ifndef SHUNT_LOCAL_ORIGIN_H
#define SHUNT_LOCAL_ORIGIN_H

#include <shunt/abi.h>

/* Makes it, if it is not there: 0, or -errno, said, and then nothing is left
 * of it. The caller holds the lock, in the namespace of load. */
int local_origin_begin(void);

/* Puts programs at the egress of the interfaces that steering is on, where they
 * are missing; 0 or -errno, said. */
int local_origin_attach(struct shunt_attachment *attachments);

#endif
