/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy routing that delivers steered packets to this host. */
#ifndef SHUNT_POLICY_ROUTE_H
#define SHUNT_POLICY_ROUTE_H

#include <stdbool.h>

#include <libmnl/libmnl.h>

#include <shunt/abi.h>

/*
 * Makes, for IPv4 and for IPv6 where the host has it, the rule "fwmark
 * conf->mark/conf->mark lookup conf->table" and the route "local default dev
 * lo" in that table; conf->routed says for which. Fails, and leaves nothing
 * behind, if either is there already. 0 or -errno, said.
 */
int route_add(struct shunt_conf *conf);

/* Makes again what is missing, if steering is on, and says so; *ret_n is for how many families. 0
 * or the first -errno, said. */
int route_restore(struct shunt_conf *conf, unsigned int *ret_n);

/* Is all that conf->routed names there, and ours? */
bool route_present(const struct shunt_conf *conf);

/*
 * Removes what route_add() made. What is missing, or is somebody else's, is no
 * error; goes on after a failure and returns the first one.
 */
int route_del(__u32 mark, __u32 table);

/* The interface that packets to this address leave by now, lo's if it is this
 * host's own; 0 or -errno, unsaid. */
int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex);

/* Is this the broadcast address of a network that this host is in? */
bool route_is_broadcast(int family, const __u8 addr[16]);

/*
 * Sends one rtnetlink request and gives what comes back to cb, which may be
 * NULL. A dump that the kernel changed under us is read again, so cb may see
 * an entry twice.
 */
int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The attribute of that type after a header of that size, or NULL. */
const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type);

#endif
