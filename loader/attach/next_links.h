/* SPDX-License-Identifier: GPL-2.0-only */
/* Lets what is attached to the host run the programs of another build. */
#ifndef SHUNT_NEXT_LINKS_H
#define SHUNT_NEXT_LINKS_H

#include "bpf/halves.h"

/* Lets each link and filter of the half run the program of the same name that is pinned in the folder
 * programs. Each packet and connection sees the old program or the new one. Returns 0, or -errno
 * after reporting it: some may have changed then. */
int links_switch(enum half half, enum half programs);

/* Pins the links of the half in its next folder, too. Returns 0, or -errno after reporting it. */
int links_pin_next(enum half half);

#endif
