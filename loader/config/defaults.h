/* SPDX-License-Identifier: GPL-2.0-only */
/* The settings of a load without options. */
#ifndef SHUNT_DEFAULTS_H
#define SHUNT_DEFAULTS_H

#include <shunt/abi.h>

/* Plain numbers, because the help of load's options prints them, too. */
#define DEFAULT_MAX_BYTES 8388608
#define DEFAULT_MAX_MESSAGES 2048
#define DEFAULT_MARK 0x1000000
#define DEFAULT_TABLE 20560
#define DEFAULT_MAX_RULES 1048576
#define DEFAULT_MAX_FLOWS 65536

void conf_defaults(struct shunt_conf *ret);

/* Pages of TCP memory: a quarter of what TCP may use on this host. */
__u64 default_pages(void);

/* Sets the bound of messages on this host, which follows from the memory for them. */
void conf_set_host_messages(struct shunt_conf *conf);

/* Makes room for this many UDP flows, rounded up. */
void conf_set_flows(struct shunt_conf *conf, __u32 flows);

#endif
