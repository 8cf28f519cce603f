/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners of datagrams that come in fragments: see tc/fragments.h. */
#ifndef SHUNT_FRAGMENT_LISTENERS_H
#define SHUNT_FRAGMENT_LISTENERS_H

#include <shunt/abi.h>

/* Puts the listeners that are wanted into their map, and sees to it that whole
 * datagrams find them there, and that those which come later are noticed. 0 or -errno,
 * said. */
int listeners_collect(void);

/* The same if a rule has wanted listeners before: some may have come meanwhile. */
void listeners_find(void);

/* Wants the listeners of these rules, as far as they are for UDP, and gathers those that
 * are there. What fails is said; the rules hold all the same. */
void listeners_want(const struct shunt_rule *const *rules, __u32 count);

#endif
