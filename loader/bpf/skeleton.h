/* SPDX-License-Identifier: GPL-2.0-only */
/* Who owns the embedded object. */
#ifndef SHUNT_SKELETON_H
#define SHUNT_SKELETON_H

#include "util/cleanup.h"
#include "shunt.skel.h"

static inline void destroy_skel(struct shunt_bpf **skel)
{
	shunt_bpf__destroy(*skel);
}

#define _cleanup_skel_ _cleanup_(destroy_skel)

static inline struct shunt_bpf *take_skel(struct shunt_bpf **skel)
{
	struct shunt_bpf *taken = *skel;

	*skel = NULL;
	return taken;
}

#endif
