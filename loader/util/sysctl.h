/* SPDX-License-Identifier: GPL-2.0-only */
/* IPv4 settings of interfaces, in the network namespace of this process. */
#ifndef SHUNT_SYSCTL_H
#define SHUNT_SYSCTL_H

/* Returns net.ipv4.conf.IFACE.NAME, which is never negative, or -errno without a message. */
long sysctl_get(const char *iface, const char *name);

/* Sets net.ipv4.conf.IFACE.NAME. Returns 0, or -errno without a message. */
int sysctl_set(const char *iface, const char *name, long value);

#endif
