/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_LOAD_H
#define SHUNT_LOAD_H

#include <stdbool.h>

/* Loads the programs of one or both halves and throws them away again: does
 * this kernel take them? 0 or -errno, said. */
int programs_try(bool bypass, bool steer);

/* Can programs look into the peer with plain loads (6.2 and later)? */
bool kernel_casts(void);

#endif
