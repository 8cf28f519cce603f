/* SPDX-License-Identifier: GPL-2.0-only */
/* Where each kind of attachment goes at an interface, and whose a program there is. */
#ifndef SHUNT_TC_HOOKS_H
#define SHUNT_TC_HOOKS_H

#include <bpf/libbpf.h>
#include <linux/pkt_sched.h>

#include <shunt/abi.h>

/* Not in 6.1's headers: BPF_TCX_INGRESS, BPF_TCX_EGRESS, BPF_F_BEFORE */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS ((enum bpf_attach_type)47)
#define TCX_FIRST 8
#define TCX_PROGRAMS 64 /* BPF_MPROG_MAX */

/* The names of shunt's programs begin with this. */
#define OUR_NAMES "shunt_"

#define PARENT_INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define PARENT_EGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

struct hook {
	const char *program;
	enum bpf_attach_type tcx;
	enum bpf_tc_attach_point point;
	__u32 parent;
	__u32 flags;    /* tcx */
	__u16 priority; /* clsact: the first that may be ours */
};

const struct hook *hook_of(const struct shunt_attachment *a);

/* As libbpf and the kernel want the number. */
static inline int ifindex_of(const struct shunt_attachment *a)
{
	return (int)a->ifindex;
}

/* Whether the name of the program begins with this name, of which the kernel keeps 15
 * letters: 1, 0 (also if the program is gone), or -errno. */
int program_is_named(__u32 id, const char *name);

/* Whether the program is that of the attachment: by prog_fd, or by its name if prog_fd is
 * negative. 1, 0 or -errno. */
int program_is_own(const struct shunt_attachment *a, __u32 id, int prog_fd);

#endif
