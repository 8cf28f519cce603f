/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to the kernel over rtnetlink and netfilter's netlink. */
#ifndef SHUNT_RTNL_H
#define SHUNT_RTNL_H

#include <stddef.h>

#include <libmnl/libmnl.h>
#include <linux/types.h>

/*
 * Sends one rtnetlink request and calls cb, which may be NULL, for each message of the reply. If
 * entries change during a dump, the dump is read again, so cb may see an entry twice. Returns 0,
 * or -errno without a message.
 */
int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The same for netfilter's netlink. */
int netfilter_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* The attribute of that type behind a header of that size; NULL if there is none. */
const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type);

/* The value of that attribute; 0 if there is none of this size. */
__u32 rtnl_u32(const struct nlmsghdr *nlh, size_t header, int type);
__u8 rtnl_u8(const struct nlmsghdr *nlh, size_t header, int type);

#endif
