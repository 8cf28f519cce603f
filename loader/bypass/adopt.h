/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_ADOPT_H
#define SHUNT_ADOPT_H

/* Registers connections made before the load whose two ends are both in loaded
 * cgroups, as plain pairs. What can't be proven stays as it is. */
void adopt_connections(void);

#endif
