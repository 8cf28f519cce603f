/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Filters of the monitor's flows:
 *
 *   FILTER    = TERM { or TERM }        TERM = FACTOR { [and] FACTOR }
 *   FACTOR    = not FACTOR | ( FILTER ) | CONDITION
 *   CONDITION = tcp | udp | icmp | icmp6 | ip | ip6 | proto N | in | out |
 *               iface NAME | steered | bypassed | nat |
 *               [src|dst] host ADDR | [src|dst] net ADDR/LEN |
 *               [src|dst] port LOW[-HIGH]
 */
#ifndef SHUNT_FILTER_H
#define SHUNT_FILTER_H

#include <stdbool.h>

#include "flows/flow_counters.h"

struct filter;

/* Parses a filter; "" matches all flows. The caller frees *ret. Reports errors and returns
 * -errno. */
int filter_parse(const char *text, struct filter **ret);

bool filter_matches(const struct filter *filter, const struct flow *flow);

#endif
