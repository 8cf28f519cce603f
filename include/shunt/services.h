/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules of the services of routers, which the diverter keeps. */
#ifndef SHUNT_ABI_SERVICES_H
#define SHUNT_ABI_SERVICES_H

#include <linux/types.h>

#include <shunt/rule_store.h>

/* The packets that a rule matches: the key of shunt_shadowed. */
struct shunt_match {
	__u8 dst[16];
	__u8 src[16];
	char ifname[SHUNT_IFNAME];
	__u16 dport_low;
	__u16 dport_high;
	__u16 sport_low;
	__u16 sport_high;
	__u8 family;
	__u8 proto;
	__u8 dst_len;
	__u8 src_len;
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_match) == 64, "shunt_match");

/* Several services may be for the same packets. The newest rule is in force; the others are kept in
 * shunt_shadowed, which no program reads. */
#define SHUNT_MATCHES 8192
#define SHUNT_SHADOWS 31

struct shunt_shadow {
	__u8 to[16];
	char service[SHUNT_SERVICE];
	__u16 to_port;
	__u8 action;
	__u8 compat;
	__u8 own;
	__u8 router;
	__u8 pad[2];
};

_Static_assert(sizeof(struct shunt_shadow) == 56, "shunt_shadow");

struct shunt_shadows {
	__u32 count;
	__u32 pad;
	struct shunt_shadow shadow[SHUNT_SHADOWS]; /* the newest first */
};

_Static_assert(sizeof(struct shunt_shadows) == 1744, "shunt_shadows");

/* A process that made rules by the diverter: an entry of shunt_routers[]. Its PID and the time of its
 * start distinguish it from all other processes since boot. Both can only be compared in the same
 * PID namespace and time namespace. */
#define SHUNT_ROUTERS 255

struct shunt_router {
	__u64 started; /* ticks of the clock since boot, as in /proc/PID/stat */
	__u32 pid;     /* 0: this entry is free */
	__u32 pid_ns;  /* inode numbers */
	__u32 time_ns;
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_router) == 24, "shunt_router");

#endif
