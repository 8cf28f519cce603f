/* SPDX-License-Identifier: GPL-2.0-only */
/* Attaches programs to interfaces and cgroups as the entries of shunt_attachment say, and
 * detaches them. */
#ifndef SHUNT_ATTACH_H
#define SHUNT_ATTACH_H

#include <stdbool.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

/* Attaches the programs of attachments[i] to its cgroup or interface. Does nothing for a pattern.
 * Returns 0, or -errno after reporting it. */
int attach(struct shunt_attachment *attachments, unsigned int i);

/* Adds a copy of wanted, which is for an interface, to the table and attaches its program; does
 * nothing if both are done already. Undoes what a failure leaves half-way. Returns 0, or -errno
 * after reporting it. */
int attach_new(struct shunt_attachment *attachments, const struct shunt_attachment *wanted);

/* Attaches again to the cgroup of attachments[i], which was removed and made again. Returns 0, or
 * -errno after reporting it. */
int cgroup_reattach(struct shunt_attachment *attachments, unsigned int i);

/* Detaches the program of attachments[i] from its interface, which may be gone, and frees the
 * entry. Returns 0, or -errno after reporting it. */
int detach(struct shunt_attachment *attachments, unsigned int i);

/* Like detach(), but the entry stays, with ifindex 0: it waits for an interface of that name. */
int detach_keep_entry(struct shunt_attachment *attachments, unsigned int i);

/* Attaches an entry that waits to this interface. A command that was killed while it moved a monitor
 * may have left the program attached: then the program is detached first. Returns 0, or -errno after
 * reporting it; then the entry waits. */
int attach_waiting(struct shunt_attachment *attachments, unsigned int i, __u32 ifindex);

/* Whether the program of attachments[i] is still attached: another program may have detached it.
 * Returns 1, 0, or -errno without a message. */
int is_attached(const struct shunt_attachment *attachments, unsigned int i);

/* Sets *ret_id to the id of the cgroup that attachments[i] is attached to; 0 if that cgroup is
 * gone or nothing is attached. Returns 0, or -errno without a message. */
int attached_cgroup_id(unsigned int i, __u64 *ret_id);

/* Whether the interface of attachments[i] has moved to another network namespace, with the
 * program still attached. is_attached() is 0 then. */
bool has_moved_away(const struct shunt_attachment *attachments, unsigned int i);

/* Attaches the second program of the cgroup of attachments[i], if load was killed between the first
 * one, which pairs sockets, and the second. Reports errors. */
void cgroup_complete(struct shunt_attachment *attachments, unsigned int i);

/* Detaches the entry from its interface or cgroup, and frees it; a pattern is only freed. Returns
 * 0, or -errno after reporting it. */
int attachment_remove(struct shunt_attachment *attachments, unsigned int i);

/* Detaches a half from all interfaces, and frees its patterns; goes on after a failure. Returns 0,
 * or the first -errno after reporting each. */
int detach_ifaces(struct shunt_attachment *attachments, enum half half);

/* Frees the entries of a half whose network namespace, with all interfaces, is gone. */
void attachments_forget(struct shunt_attachment *attachments, enum half half);

/* Detaches from all cgroups, up to the first failure; attachments may be NULL. Returns 0, or
 * -errno after reporting it. */
int detach_cgroups(struct shunt_attachment *attachments);

#endif
