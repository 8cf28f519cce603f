/* SPDX-License-Identifier: GPL-2.0-only */
/* Pinned programs that are attached to tracepoints for a while. */
#ifndef SHUNT_TRACEPOINTS_H
#define SHUNT_TRACEPOINTS_H

#include <stdbool.h>

/* Attaches the program, or detaches it; *link is -1 while it is not. A failure
 * is said, and tried again next time. */
void want_tracepoint(int *link, const char *prog, bool wanted);

/* The same for one that stays when this process dies: its link is pinned, and
 * found again. */
void want_pinned(int *link, const char *prog, bool wanted);

#endif
