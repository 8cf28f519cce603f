/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of 'shunt steer test'. */
#ifndef SHUNT_PROBE_WORDS_H
#define SHUNT_PROBE_WORDS_H

#include "cmd/probe_packet.h"

/* Reads tcp|udp src ADDR[:PORT] dst ADDR:PORT [sport PORT] [dport PORT] [iface NAME|origin local].
 * A packet without a source port gets sport. Returns 0, or -errno after reporting it. */
int probe_parse(int argc, char **argv, __u16 sport, struct probe *ret);

#endif
