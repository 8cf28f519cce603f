/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_TRACE_H
#define SHUNT_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* Has somebody switched all tracing off, so that trace_pipe stays empty? Then
 * *ret is the file that says so. False if tracefs is not mounted. */
bool tracing_is_off(char *ret, size_t size);

#endif
