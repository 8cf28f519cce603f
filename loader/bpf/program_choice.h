/* SPDX-License-Identifier: GPL-2.0-only */
/* Which programs and maps of the object a program_set asks for. */
#ifndef SHUNT_PROGRAM_CHOICE_H
#define SHUNT_PROGRAM_CHOICE_H

#include "bpf/programs.h"

/* Each function changes an object that is open and not loaded yet. map_iterators: whether this kernel
 * has iterators over maps. */
void choose_maps(struct shunt_bpf *skel, const struct program_set *set);
void size_maps(struct shunt_bpf *skel, const struct program_set *set);
void choose_programs(struct shunt_bpf *skel, const struct program_set *set, bool map_iterators);

#endif
