/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of 'shunt check'. */
#ifndef SHUNT_CHECK_H
#define SHUNT_CHECK_H

enum check_result { OK, NOTE, WARN, FAIL };

/* Prints one finding; advice may be NULL. The worst result of all is the command's. */
void check_found(enum check_result result, const char *name, const char *advice, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));

/* Interfaces that are ports of others, in a VRF, or below a macvlan. */
void check_ports(void);

#endif
