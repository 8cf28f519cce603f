/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to the kernel over rtnetlink and netfilter's netlink. */
#ifndef SHUNT_RTNL_H
#define SHUNT_RTNL_H

#include <stddef.h>

#include <libmnl/libmnl.h>
#include <linux/types.h>

/*
 * Sends one rtnetlink request and gives what comes back to cb, which may be
 * NULL. A dump that the kernel changed under us is read again, so cb may see
 * an entry twice.
 */
int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The same of netfilter. */
int netfilter_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The attribute of that type after a header of that size, or NULL. */
const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type);

/* Its value, 0 if there is none. */
__u32 rtnl_u32(const struct nlmsghdr *nlh, size_t header, int type);
__u8 rtnl_u8(const struct nlmsghdr *nlh, size_t header, int type);

#endif
