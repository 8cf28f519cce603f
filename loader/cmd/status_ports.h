/* SPDX-License-Identifier: GPL-2.0-only */
/* The lines of 'shunt status' and 'shunt check' about ports of bridges, bonds and teams. */
#ifndef SHUNT_STATUS_PORTS_H
#define SHUNT_STATUS_PORTS_H

#include "attach/links.h"
#include "cmd/status.h"

/* Print the ports that match a pattern and are passed over: json_ports() as the JSON array
 * passed_over, print_ports() as a line for each. */
void json_ports(const struct status *s, const struct links *l);
void print_ports(const struct status *s, const struct links *l);

/* Writes a note on an interface that steering is attached to although it is a port; "" on any other.
 * Returns text. */
const char *port_note(char *text, size_t size, const struct links *l, __u32 ifindex);

#endif
