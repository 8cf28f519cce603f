/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The present names of the interfaces in the table of attachments. An attachment stays with its
 * interface, and a user names an interface as it is called now. So a command that finds entries by
 * their names first brings the names up to date, those of all entries at once: interfaces can swap
 * their names.
 */
#ifndef SHUNT_IFACE_NAMES_H
#define SHUNT_IFACE_NAMES_H

#include <shunt/abi.h>
#include "attach/links.h"

/*
 * Gives all entries of attachments[SHUNT_ATTACHMENTS] the present names of their interfaces. An entry
 * that waits for the name which another entry of its kind gets is dropped: that other interface is
 * what it waited for. The caller holds the lock, in the namespace of load. Returns the number of
 * entries with another name, or -errno after reporting it.
 */
int attachments_take_names(const struct links *links, struct shunt_attachment *attachments);

/* attachments_take_names() for the pinned table. Does nothing if there is none, or in another network
 * namespace than that of load. */
int attachments_update_names(void);

/* Copies the pinned table, with the present names in the copy alone. Sets *ret to NULL if there is no
 * table; the caller frees *ret. Returns 0, or -errno after reporting it. */
int attachments_read(struct shunt_attachment **ret);

#endif
