/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The folders of an upgrade. The programs and maps that are to take the place of those of a half are
 * made ready in a folder HALF_next. In the end the two folders change their names in one step.
 */
#ifndef SHUNT_NEXT_H
#define SHUNT_NEXT_H

#include <shunt/abi.h>

#include "bpf/halves.h"

/* The folder in which the next programs of the half are made ready. */
static inline enum half half_next(enum half half)
{
	return HALF_NEXT + half;
}

/* Exchanges the folders of a half and of its next one. Returns 0, or -errno after reporting it. */
int next_exchange(enum half half);

/* The id in the kernel, and the number of entries, of a pinned map; 0 if there is none. */
__u32 pin_map_id(enum half half, const char *name);
__u32 pin_map_entries(enum half half, const char *name);

/* The table of attachments in the form of this build: the pinned one, or a converted one that waits
 * beside that. As attachments_open() and attachments_map(). */
int attachments_next_open(void);
struct shunt_attachment *attachments_next_map(void);

/* Pins a converted table of attachments beside the one that is pinned, unless fd is that one. Returns
 * 0, or -errno after reporting it. */
int attachments_next_pin(int fd);

/* Puts the converted table, if there is one, in the place of the pinned one. Returns 0, or -errno after
 * reporting it. */
int attachments_next_install(void);

/* Removes the converted table, if there is one. */
void attachments_next_remove(void);

#endif
