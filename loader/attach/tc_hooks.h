/* SPDX-License-Identifier: GPL-2.0-only */
/* The hook of an interface that each kind of attachment uses, and whether a program there is
 * shunt's. */
#ifndef SHUNT_TC_HOOKS_H
#define SHUNT_TC_HOOKS_H

#include <bpf/libbpf.h>
#include <linux/pkt_sched.h>

#include <shunt/abi.h>

/* Numbers that the headers of Linux 6.1 lack. */
#define TCX_INGRESS ((enum bpf_attach_type)46) /* BPF_TCX_INGRESS */
#define TCX_EGRESS ((enum bpf_attach_type)47)  /* BPF_TCX_EGRESS */
#define TCX_FIRST 8                            /* BPF_F_BEFORE: before all other programs */
#define TCX_PROGRAMS 64                        /* BPF_MPROG_MAX */

/* The names of all programs of shunt begin with this. */
#define OUR_NAMES "shunt_"

#define PARENT_INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define PARENT_EGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

struct hook {
	const char *program;
	enum bpf_attach_type tcx;
	enum bpf_tc_attach_point point;
	__u32 parent;
	__u32 flags;    /* for tcx */
	__u16 priority; /* for clsact: the first that shunt may use */
};

/* The entry must be for an interface. */
const struct hook *hook_of(const struct shunt_attachment *a);

/* The index in the type that libbpf and rtnetlink use. */
static inline int ifindex_of(const struct shunt_attachment *a)
{
	return (int)a->ifindex;
}

/* Whether the name of the program begins with this name. The kernel keeps 15 letters of a name, so
 * more are not compared. Returns 1, 0 (also if the program is gone), or -errno without a
 * message. */
int program_is_named(__u32 id, const char *name);

/* Whether the program is that of the attachment: the same program as prog_fd, or of that name if
 * prog_fd is negative. Returns 1, 0, or -errno without a message. */
int program_is_own(const struct shunt_attachment *a, __u32 id, int prog_fd);

#endif
