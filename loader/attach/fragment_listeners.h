/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners of datagrams that come in fragments: see tc/fragments.h. */
#ifndef SHUNT_FRAGMENT_LISTENERS_H
#define SHUNT_FRAGMENT_LISTENERS_H

/* Puts the listeners that programs want into their map, and sees to it that
 * whole datagrams find them there. 0 or -errno, said. */
int listeners_gather(void);

#endif
