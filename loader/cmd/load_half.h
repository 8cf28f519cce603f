/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_LOAD_HALF_H
#define SHUNT_LOAD_HALF_H

#include "bpf/halves.h"
#include "config/load_config.h"
#include "rules/rule.h"

/* What became of the rules of --config. */
struct load_changes {
	struct rule_changes steer;
	struct rule_changes nat;
};

/* Loads a half of which nothing is pinned: its programs and maps, its rules, and what it is
 * attached to. Reports errors and returns -errno; the caller undoes by teardown() what was done
 * until then. Holds the lock. */
int load_half(enum half half, const struct load_config *config, struct load_changes *ret);

/* Makes the cgroup of this path the router's, in the settings of steering. Reports errors and returns
 * -errno. */
int router_set(const char *path);

#endif
