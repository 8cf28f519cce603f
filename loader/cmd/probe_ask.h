/* SPDX-License-Identifier: GPL-2.0-only */
/* Asks the loaded programs about a packet. */
#ifndef SHUNT_PROBE_ASK_H
#define SHUNT_PROBE_ASK_H

#include "cmd/probe_packet.h"

/* Runs the test program on the packet. enum shunt_question describes the answer in *ret. Returns 0,
 * or -errno after reporting it. */
int probe_ask(const struct probe *f, enum shunt_question question, __u32 *ret);

#endif
