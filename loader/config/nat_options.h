/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT's settings: --nat-flows and --nat-idle. */
#ifndef SHUNT_NAT_OPTIONS_H
#define SHUNT_NAT_OPTIONS_H

#include <stddef.h>

#include <shunt/abi.h>

#define DEFAULT_NAT_FLOWS 65536

void nat_defaults(struct shunt_nat *ret);

/* Reads KIND=SECONDS, the time without packets after which a flow of that kind ends. Returns 0, or
 * -EINVAL after reporting it. */
int nat_set_idle(struct shunt_nat *nat, const char *word);

/* Writes KIND=SECONDS of one kind: enum shunt_nat_idle. */
void nat_idle_text(const struct shunt_nat *nat, unsigned int kind, char *ret, size_t size);

/* Prints a line for each KIND. */
void nat_idle_help(void);

#endif
