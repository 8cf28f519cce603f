/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy routing that delivers steered packets to this host. */
#ifndef SHUNT_ROUTE_H
#define SHUNT_ROUTE_H

#include <stdbool.h>

#include <libmnl/libmnl.h>
#include <linux/types.h>

/*
 * Makes, for IPv4 and for IPv6 where the host has it, the rule "fwmark
 * mark/mark lookup table" and the route "local default dev lo" in that table.
 * Fails, and leaves nothing behind, if either is there already.
 */
int route_add(__u32 mark, __u32 table);

/*
 * Removes what route_add() made. What is missing, or is somebody else's, is no
 * error; goes on after a failure and returns the first one.
 */
int route_del(__u32 mark, __u32 table);

/* Are both the rule and the route there, and ours? */
bool route_present(__u32 mark, __u32 table, int family);

/* The interface that packets to this address leave by now, lo's if it is this
 * host's own; 0 or -errno, unsaid. */
int route_lookup(int family, const __u8 addr[16], __u32 *ret_ifindex);

/*
 * Sends one rtnetlink request and gives what comes back to cb, which may be
 * NULL. A dump that the kernel changed under us is read again, so cb may see
 * an entry twice.
 */
int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The attribute of that type after a header of that size, or NULL. */
const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type);

#endif
