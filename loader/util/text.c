// SPDX-License-Identifier: GPL-2.0-only
#include "util/text.h"

#include <stdio.h>
#include <string.h>

#define BUFFERS 8
#define PRINTABLE_MAX 4096

size_t utf8_length(const char *s)
{
	const unsigned char *c = (const unsigned char *)s;
	size_t length = c[0] < 0x80 ? 1 : c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2, i;

	if (c[0] < 0x80)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	for (i = 1; i < length; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* overlong encodings, surrogates, and numbers beyond Unicode */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

bool is_control(const char *s, size_t length)
{
	const unsigned char *c = (const unsigned char *)s;

	if (length == 1)
		return c[0] < 0x20 || c[0] == 0x7f;
	if (length == 2)
		return c[0] == 0xc2 && c[1] < 0xa0;
	/* U+2028 to U+202e, U+2066 to U+2069 */
	return length == 3 && c[0] == 0xe2 &&
	       ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) ||
		(c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

const char *printable(const char *s)
{
	static char buffers[BUFFERS][PRINTABLE_MAX];
	static unsigned int next;
	char *to = buffers[next++ % BUFFERS];
	size_t at = 0, length, i;

	for (; *s && at < PRINTABLE_MAX - 17; s += length) {
		length = utf8_length(s);
		if (length && !is_control(s, length)) {
			memcpy(to + at, s, length);
			at += length;
			continue;
		}
		length = length ? length : 1;
		for (i = 0; i < length; i++)
			at += snprintf(to + at, PRINTABLE_MAX - at, "\\x%02x", (unsigned char)s[i]);
	}
	to[at] = '\0';
	return to;
}
