/* SPDX-License-Identifier: GPL-2.0-only */
/* Attaches pinned programs to tracepoints while they are needed. */
#ifndef SHUNT_TRACEPOINTS_H
#define SHUNT_TRACEPOINTS_H

#include <stdbool.h>

/* Attaches or detaches the program. *link is -1 while it is detached. A failure is reported;
 * the next call tries again. */
void tracepoint_set_attached(int *link, const char *prog, bool attached);

/* The same for a program that stays attached when this process dies: its link is pinned, and
 * the next supervisor finds it. */
void tracepoint_set_pinned(int *link, const char *prog, bool attached);

#endif
