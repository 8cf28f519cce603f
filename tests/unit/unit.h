/* SPDX-License-Identifier: GPL-2.0-only */
/* What the unit tests share: words, messages, JSON, random numbers. */
#ifndef SHUNT_TESTS_UNIT_H
#define SHUNT_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
/* util/log.h has a function of that name */
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#include <linux/types.h>

#define MAX_WORDS 128

/* Words as main() gets them; argv ends with NULL. */
struct words {
	char *text;
	int argc;
	char *argv[MAX_WORDS + 1];
};

/* Cuts a text at its blanks. An empty word is written as ''. */
void words_split(const char *text, struct words *ret);
void words_free(struct words *w);

/* Keeps what is written to stderr, until messages_end() returns it. The text is valid until
 * the next messages_begin(). */
void messages_begin(void);
const char *messages_end(void);

/* Fails the test unless text has part in it. */
void assert_has(const char *text, const char *part);

/* The same for a file that a function writes to. */
FILE *output_begin(void);
const char *output_end(void);

/* Whether the text is one JSON value and nothing more. */
bool json_valid(const char *text);

/* A number below n, from a sequence that random_seed() begins. */
void random_seed(uint64_t seed);
unsigned int random_below(unsigned int n);

/*
 * Removes members of an array of count numbers, one by one and over again, for as long as
 * fails(member, count, data) still holds without them. Returns how many are left: none of
 * them can be spared.
 */
unsigned int shrink(unsigned int *member, unsigned int count,
		    bool (*fails)(const unsigned int *member, unsigned int count, void *data),
		    void *data);

#endif
