/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds and removes what a shunt left in this network namespace when its pins were lost: somebody
 * unmounted its bpf file system or removed the pins. The kernel removed its programs and maps then,
 * but its routing rules, routes and settings of lo stay. Rules and routes are recognised by their
 * protocol number, settings by a note: a file in /run.
 */
#ifndef SHUNT_LEFTOVERS_H
#define SHUNT_LEFTOVERS_H

#include "attach/loopback.h"

/* Removes all that belongs to no shunt which is loaded in this network namespace. Goes on after a
 * failure. Returns 0, or the first -errno after reporting each. */
int leftovers_remove(void);

/* Writes the note that shunt switched a setting of lo on; made is the value of the setting's field
 * in struct shunt_conf. If made is 0, removes the note: the setting is as it was. Without a note,
 * leftovers_remove() does not touch the setting. */
void leftovers_write_note(enum loopback_setting which, __u32 made);

#endif
