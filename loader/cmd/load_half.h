/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_LOAD_HALF_H
#define SHUNT_LOAD_HALF_H

#include "bpf/halves.h"
#include "config/load_config.h"
#include "rules/rule.h"

/* Counts what the file of --config has changed among the rules. */
struct load_changes {
	struct rule_changes steer;
	struct rule_changes nat;
};

/* Loads a half of which nothing is pinned: pins its programs and maps, makes its rules, attaches
 * it. The caller holds the lock of the pin directory. Returns 0, or -errno after reporting it; then
 * the caller calls teardown(), which undoes the steps before the error. */
int load_half(enum half half, const struct load_config *config, struct load_changes *ret);

/* Makes NAT's timer, or lets the timer that is there run this build's callback. fd: the program
 * shunt_nat_init. Reports errors and returns -errno. */
int nat_start_timer(int fd);

/* Makes the cgroup of this path the router's, in the settings of steering. Reports errors and returns
 * -errno. */
int router_set(const char *path);

#endif
