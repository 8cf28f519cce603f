/* SPDX-License-Identifier: GPL-2.0-only */
/* What an upgrade has made ready for a half (bpf/next.h), and how it comes into use or goes. After the
 * exchange of the folders, the next half is the former one. */
#ifndef SHUNT_NEXT_HALF_H
#define SHUNT_NEXT_HALF_H

#include "bpf/halves.h"

/* Lets all that is attached run the programs that are pinned in a folder, that of the half or its next
 * one: links, filters, NAT's timer, and the verdict for sockets that enter the map from now on.
 * Returns 0, or -errno after reporting it: some may have changed then. */
int half_switch(enum half half, enum half programs);

/* Removes the next folder of a half, which an upgrade left: what is attached runs the half's own
 * programs again. A next bypass with members of its own lingers. Returns 0, or -errno after
 * reporting it. */
int remove_next(enum half half);

/* remove_next() for all halves, and the converted table of attachments. */
int remove_all_next(void);

#endif
