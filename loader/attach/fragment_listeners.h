/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts the listeners of UDP rules into a map, where a program finds the listener of a datagram
 * that came in fragments: see tc/fragments.h. */
#ifndef SHUNT_FRAGMENT_LISTENERS_H
#define SHUNT_FRAGMENT_LISTENERS_H

#include <shunt/abi.h>

/* Puts the wanted listeners that exist into the map. Attaches the program that looks reassembled
 * datagrams up there, and the programs that notice later listeners. Returns 0, or -errno after
 * reporting it. */
int listeners_collect(void);

/* listeners_collect() if it has been called since load: listeners may have come meanwhile. */
void listeners_collect_again(void);

/* Makes the listeners of these rules wanted, if the rules are for UDP, and collects those that
 * exist. Reports errors; the rules are in force all the same. */
void listeners_add_wanted(const struct shunt_rule *const *rules, __u32 count);

#endif
