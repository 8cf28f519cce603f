/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a shunt left in this network namespace whose pins are gone: its bpf file system
 * was unmounted, or somebody removed the pins. Its programs went with the pins; its
 * routing rules, routes and settings of lo stay, and nobody has the maps that tell of
 * them. Rules and routes are told by their protocol, settings by a file in /run.
 */
#ifndef SHUNT_LEFTOVERS_H
#define SHUNT_LEFTOVERS_H

#include "attach/loopback.h"

/* Removes what no shunt that is loaded in this network namespace has; 0 or the first
 * -errno, reported. */
int leftovers_remove(void);

/* Notes that a setting of lo was switched on, and what field of struct shunt_conf says
 * about that; 0: that it is as it was. What can't be noted is not removed later. */
void leftovers_note(enum loopback_setting which, __u32 made);

#endif
