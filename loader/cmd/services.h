/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of a router's services, of which several may be for the same packets: the
 * newest is in force and shadows the others (rules/shadowed.h). The caller holds the
 * lock, has opened the rules and is in the network namespace of the load.
 */
#ifndef SHUNT_SERVICES_H
#define SHUNT_SERVICES_H

#include <shunt/abi.h>

/* Puts r in force. It takes the place of the service's own rule for these packets; rules
 * of other services for them are shadowed. 0 or -errno, said. */
int service_add(const struct shunt_rule *r);

/* Deletes one of the rules for the packets of match, for a router or, if that is 0,
 * somebody else: the newest whose listener is gone, else the newest. Not one of another
 * router that runs. 0; -ENOENT, unsaid, if there is none; or -errno, said. */
int service_del(const struct shunt_rule *match, __u8 router);

/* Deletes the rules for the packets of match that nobody listens for. 0 or -errno, said. */
int services_prune(const struct shunt_rule *match);

/* Deletes the rules of routers that have ended, and says how many. 0 or -errno, said. */
int services_sweep(void);

#endif
