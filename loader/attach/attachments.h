/* SPDX-License-Identifier: GPL-2.0-only */
/* Entries of the table of attachments, shunt_attachment. Nothing is attached here. */
#ifndef SHUNT_ATTACHMENTS_H
#define SHUNT_ATTACHMENTS_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Whether the name stands for all interfaces of a pattern, as 'veth*' does. */
bool is_pattern(const char *name);

/* The entry of this kind and name in attachments[SHUNT_ATTACHMENTS]; NULL if there is none. As
 * strchr() does, the result drops the const of the table. */
struct shunt_attachment *attachment_find(const struct shunt_attachment *attachments,
					 enum attachment_kind kind, const char *name);

/* An entry that is not in use; NULL if all are. */
struct shunt_attachment *attachment_unused(struct shunt_attachment *attachments);

/* Whether the entry is for a program at an interface; a pattern has none itself. */
bool attachment_is_iface(const struct shunt_attachment *a);
bool attachment_is_monitor(const struct shunt_attachment *a);
bool attachment_is_nat(const struct shunt_attachment *a);

/* Fills the two entries of NAT at this interface: what comes in, what goes out. Reports
 * errors and returns -errno. */
int nat_attachments(const char *name, struct shunt_attachment ret[2]);

#endif
