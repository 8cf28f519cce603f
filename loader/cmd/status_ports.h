/* SPDX-License-Identifier: GPL-2.0-only */
/* What 'shunt status' and 'shunt check' tell of ports of bridges, bonds and teams. */
#ifndef SHUNT_STATUS_PORTS_H
#define SHUNT_STATUS_PORTS_H

#include "attach/links.h"
#include "cmd/status.h"

/* The ports that a pattern would name, and passes over: as the array passed_over, */
void json_ports(const struct status *s, const struct links *l);

/* or a line for each. */
void print_ports(const struct status *s, const struct links *l);

/* What is to be said of an interface that was named though it is a port; "" else. */
const char *port_note(char *text, size_t size, const struct links *l, __u32 ifindex);

#endif
