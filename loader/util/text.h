/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text that shunt did not choose: names of processes, interfaces and cgroups, and the words of a
 * command. The kernel allows nearly all bytes in them.
 */
#ifndef SHUNT_TEXT_H
#define SHUNT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The length in bytes of the UTF-8 character at s; 0 if the bytes there are no valid character. */
size_t utf8_length(const char *s);

/* Whether the UTF-8 character at s, of length bytes, can move the cursor, begin an escape
 * sequence, or change the direction of the text that follows. */
bool is_control(const char *s, size_t length);

/* The text in one line that is safe for a terminal: bytes that are no printable character are
 * written as \x1b. Texts beyond 4,000 bytes are cut. The result is valid until the eighth call
 * after this one. */
const char *printable(const char *s);

#endif
