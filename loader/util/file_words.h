/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names in files: values of options, and interfaces in rules. A word can't hold blanks, and no word begins
 * with '#': names of cgroups and interfaces may. As in /etc/fstab, a byte can be written as a backslash and three octal digits.
 */
#ifndef SHUNT_FILE_WORDS_H
#define SHUNT_FILE_WORDS_H

#include <stddef.h>

/* Room for the word that stands for a text of that many bytes. */
#define FILE_WORD(size) (4 * (size))

/* Writes the text as one word; ret has room for FILE_WORD(). */
void file_word_encode(const char *text, char *ret);

/* Makes a word the text that it stands for. */
void file_word_decode(char *word);

#endif
