/* SPDX-License-Identifier: GPL-2.0-only */
/* What is attached to the host: shunt_state. */
#ifndef SHUNT_ABI_ATTACHMENTS_H
#define SHUNT_ABI_ATTACHMENTS_H

#include <linux/types.h>

/* One attachment, written before it is made: shunt_state[]. */
enum shunt_kind {
	SHUNT_NONE = 0,
	SHUNT_CGROUP = 1,
	SHUNT_IFACE = 2,
	SHUNT_MONITOR_IN = 3,  /* of an interface */
	SHUNT_MONITOR_OUT = 4,
	SHUNT_NAT_IN = 5, /* of an interface */
	SHUNT_NAT_OUT = 6,
	SHUNT_NAT_RAW_IN = 7, /* of one without a link layer header */
	SHUNT_NAT_RAW_OUT = 8,
	SHUNT_LOCAL_OUT = 9, /* what this host sends: an interface's egress, */
	SHUNT_LOCAL_IN = 10, /* and lo's ingress */
	SHUNT_PATTERN = 11,  /* names interfaces, of which each has its own entry */
};

#define SHUNT_STATES 1024
#define SHUNT_NAME 240

struct shunt_state {
	__u16 kind;       /* enum shunt_kind */
	__u8 admit;       /* cgroup: enum shunt_admit */
	__u8 clsact;      /* interface: a clsact filter, not a tcx link */
	__u32 ifindex;    /* interface */
	__u16 priority;   /* clsact: of the filter */
	__u8 qdisc;       /* clsact: shunt made the qdisc */
	__u8 found;       /* interface: a pattern named it */
	__u32 owner;      /* clsact: pid of the one command it is for; 0: all */
	char name[SHUNT_NAME]; /* path of the cgroup, name of the interface, pattern */
};

_Static_assert(sizeof(struct shunt_state) == 256, "shunt_state");

#endif
