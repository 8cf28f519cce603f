/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds and fills entries of the table shunt_attachment. Attaches nothing. */
#ifndef SHUNT_ATTACHMENTS_H
#define SHUNT_ATTACHMENTS_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Whether the name is a pattern, such as 'veth*', and not that of one interface. */
bool is_pattern(const char *name);

/* The entry of this kind and name in attachments[SHUNT_ATTACHMENTS]; NULL if there is none. As
 * strchr() does, the result drops the const of the table. */
struct shunt_attachment *attachment_find(const struct shunt_attachment *attachments,
					 enum attachment_kind kind, const char *name);

/* An entry that is not in use; NULL if all are. */
struct shunt_attachment *attachment_unused(struct shunt_attachment *attachments);

/* Whether the entry is for a program at one interface; not for a pattern. */
bool attachment_is_iface(const struct shunt_attachment *a);
bool attachment_is_monitor(const struct shunt_attachment *a);
bool attachment_is_nat(const struct shunt_attachment *a);

/* Says of steering at an interface, in both directions, whether a pattern brought it. */
void attachments_set_by_pattern(struct shunt_attachment *attachments, const char *name,
				bool by_pattern);

/* Fills the two entries that NAT needs at this interface: ingress and egress. Returns 0, or
 * -errno after reporting it. */
int nat_attachments(const char *name, struct shunt_attachment ret[2]);

#endif
