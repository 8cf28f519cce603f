/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_TRACE_H
#define SHUNT_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether all tracing is switched off in the kernel, so that trace_pipe stays empty. If so, *ret
 * becomes the path of the switch. False also if tracefs is not mounted. */
bool tracing_is_off(char *ret, size_t size);

#endif
