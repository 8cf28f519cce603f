/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of a half that an upgrade keeps. Maps whose values have the same shape in both builds go
 * on as they are. Settings and counters of another shape are converted into new maps. Where
 * something else has another shape, a bypass gets new maps, for its pairs can begin anew; another
 * half can't be upgraded.
 */
#ifndef SHUNT_KEPT_MAPS_H
#define SHUNT_KEPT_MAPS_H

#include <stdbool.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

struct shunt_bpf;

/* Settings of a half, as another build may have pinned them. */
struct old_conf {
	struct shunt_conf conf;
	bool same_shape; /* that build has the same struct */
};

/* Reads the settings that are pinned for a half. The fields of *ret that the other build does not
 * have stay as they are. Returns 0, -ENOENT without a message if nothing is pinned, or another -errno
 * after reporting it. */
int old_conf_read(enum half half, struct old_conf *ret);

/* Sets a field of 32 bits in the pinned settings of any build, such as "run.loaded". Returns 0, or
 * -errno after reporting it. */
int old_conf_set(enum half half, const char *field, __u32 value);

/* Finds a field of 32 bits in the pinned settings of any build. Returns NULL and sets errno, without
 * a message, if it fails. */
__u32 *old_conf_field(enum half half, const char *field);

/* Makes the open object use the maps of the half that can be kept. *ret_all: all of them; if not, a
 * bypass is to begin with new maps. Returns 0, or -errno after reporting it: -EPROTO if the half
 * can't be upgraded. */
int maps_keep(enum half half, struct shunt_bpf *skel, bool *ret_all);

/* Fills the maps of the loaded object that are not kept with the settings and counters of the
 * half. Returns 0, or -errno after reporting it. */
int maps_convert(enum half half, const struct shunt_bpf *skel);

#endif
