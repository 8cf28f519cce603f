/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of attachments, shunt_attachment: what is attached to the host. */
#ifndef SHUNT_ABI_ATTACHMENTS_H
#define SHUNT_ABI_ATTACHMENTS_H

#include <linux/types.h>

/* What an attachment is. */
enum attachment_kind {
	ATTACH_NONE = 0,
	ATTACH_CGROUP = 1,
	ATTACH_IFACE = 2,
	ATTACH_MONITOR_IN = 3, /* of an interface */
	ATTACH_MONITOR_OUT = 4,
	ATTACH_NAT_IN = 5, /* of an interface */
	ATTACH_NAT_OUT = 6,
	ATTACH_NAT_RAW_IN = 7, /* of one without a link layer header */
	ATTACH_NAT_RAW_OUT = 8,
	ATTACH_LOCAL_OUT = 9, /* what this host sends: an interface's egress, */
	ATTACH_LOCAL_IN = 10, /* and lo's ingress */
	ATTACH_PATTERN = 11,  /* stands for interfaces, of which each has its own entry */
};

#define SHUNT_ATTACHMENTS 1024
#define ATTACHMENT_NAME_SIZE 240

#define LOOPBACK_IFINDEX 1 /* of lo, whatever its name is: include/net/flow.h of Linux */

/* One entry of the table. It is written before its attachment is made. */
struct shunt_attachment {
	__u16 kind;             /* enum attachment_kind */
	__u8 admit;             /* cgroup: enum shunt_admit; else 0 */
	__u8 clsact;            /* interface: a clsact filter, not a tcx link */
	__u32 ifindex;          /* interface; 0: shunt waits for an interface of that name */
	__u16 priority;         /* clsact: of the filter */
	__u8 qdisc;             /* clsact: shunt made the qdisc */
	__u8 by_pattern : 1;    /* interface: a pattern named it */
	__u8 auto_attached : 1; /* NAT: 'shunt nat add' found the interface, not 'shunt load' */
	__u32 owner;            /* clsact: pid of the one command that the filter is for; 0: all */
	char name[ATTACHMENT_NAME_SIZE]; /* path of the cgroup, name of the interface, pattern */
};

_Static_assert(sizeof(struct shunt_attachment) == 256, "shunt_attachment");

#endif
