/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_ADOPT_H
#define SHUNT_ADOPT_H

/* Finds connections that are older than the load and have both ends in loaded cgroups.
 * They become pairs under 'proven' admission, plain at first. A connection whose ends can't
 * be matched for sure stays as it is. */
void adopt_connections(void);

#endif
