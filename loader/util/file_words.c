// SPDX-License-Identifier: GPL-2.0-only
#include "util/file_words.h"

#include <stdbool.h>
#include <stdio.h>

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Whether three octal digits of one byte that is not zero follow a backslash. */
static bool is_escape(const char *s)
{
	return s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && is_octal(s[2]) && is_octal(s[3]) &&
	       (s[1] != '0' || s[2] != '0' || s[3] != '0');
}

void file_word_encode(const char *text, char *ret)
{
	const char *s;

	for (s = text; *s; s++) {
		const unsigned char c = *s;

		if (c <= ' ' || c == 0x7f || is_escape(s) || (c == '#' && s == text))
			ret += sprintf(ret, "\\%03o", c);
		else
			*ret++ = *s;
	}
	*ret = '\0';
}

void file_word_decode(char *word)
{
	const char *from = word;
	char *to = word;

	while (*from) {
		if (!is_escape(from)) {
			*to++ = *from++;
			continue;
		}
		*to++ = (from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0');
		from += 4;
	}
	*to = '\0';
}
