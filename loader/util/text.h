/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text that somebody else chose: names of processes, interfaces and cgroups, and the
 * words of a command. The kernel allows nearly all bytes there.
 */
#ifndef SHUNT_TEXT_H
#define SHUNT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character of UTF-8 at s, 0 if there is none. */
size_t utf8_length(const char *s);

/* Whether a character of that many bytes moves the cursor, begins an escape sequence, or
 * changes the direction of what follows. */
bool is_control(const char *s, size_t length);

/* The text as a terminal may get it, in one line: bytes that are no printable character
 * are written as \x1b. Valid until the eighth call after this one. */
const char *plain(const char *s);

#endif
