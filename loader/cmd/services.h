/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of a router's services. Several may be for the same packets: the newest is in force and
 * shadows the others (rules/shadowed.h). The caller holds the lock, has opened the rules and is in
 * the network namespace of the load. The functions return 0, or -errno after reporting it.
 */
#ifndef SHUNT_SERVICES_H
#define SHUNT_SERVICES_H

#include <shunt/abi.h>

/* Puts r in force. A rule of the same service for the same packets is replaced; rules of other
 * services for them are shadowed. */
int service_add(const struct shunt_rule *r);

/* Deletes one of the rules for the packets of match: the newest whose listener is gone, else the
 * newest. A router does not delete rules of another router that runs; with router 0, any rule
 * may be deleted. Returns -ENOENT without a message if there is no rule. */
int service_del(const struct shunt_rule *match, __u8 router);

/* Deletes the rules for the packets of match whose listener is gone. */
int services_prune(const struct shunt_rule *match);

/* Deletes the rules of routers that have ended, and prints how many. */
int services_sweep(void);

#endif
