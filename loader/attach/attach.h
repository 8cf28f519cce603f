/* SPDX-License-Identifier: GPL-2.0-only */
/* What is attached to the host, and how it comes off again. */
#ifndef SHUNT_ATTACH_H
#define SHUNT_ATTACH_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Attaches the pairing program to the cgroup, or steering to the interface,
 * that attachments[i] names; a pattern has nothing itself. 0 or -errno, said. */
int attach(struct shunt_attachment *attachments, unsigned int i);

/* Enters a copy of wanted, which is for an interface, and attaches it; nothing
 * if that is there and attached. Undone if it fails: 0 or -errno, said. */
int attach_new(struct shunt_attachment *attachments, const struct shunt_attachment *wanted);

/* Attaches to the cgroup that attachments[i] names once more, for it was made anew; 0 or
 * -errno, said. */
int cgroup_reattach(struct shunt_attachment *attachments, unsigned int i);

/* Takes the program of attachments[i] off its interface, which may be gone, and
 * frees the entry; 0 or -errno, said. */
int detach(struct shunt_attachment *attachments, unsigned int i);

/* The same, but the entry stays, with ifindex 0: it waits for an interface of
 * that name. */
int detach_keep_entry(struct shunt_attachment *attachments, unsigned int i);

/* Is attachments[i] still attached? Someone may have taken it off. 1, 0, or -errno, unsaid. */
int attached(const struct shunt_attachment *attachments, unsigned int i);

/* Id of the cgroup that attachments[i] is attached to; 0: that is gone, or nothing is.
 * Returns 0 or -errno, unsaid. */
int attached_cgroup(unsigned int i, __u64 *ret_id);

/* If not: has its interface left this network namespace, with shunt's program? */
bool attached_away(const struct shunt_attachment *attachments, unsigned int i);

/* Name of the pinned link of attachments[i]. */
const char *link_name(char name[32], unsigned int i);

/* Detaches from all interfaces, or from all cgroups. detach_ifaces() goes on after an error
 * and returns the first; both report errors. */
int detach_ifaces(struct shunt_attachment *attachments);
int detach_cgroups(struct shunt_attachment *attachments);

#endif
