/* SPDX-License-Identifier: GPL-2.0-only */
/* Words of 'shunt load' as a struct load_config. */
#ifndef SHUNT_TESTS_LOAD_WORDS_H
#define SHUNT_TESTS_LOAD_WORDS_H

#include "config/load_config.h"

/* Parses the words after 'load', as if the settings in loaded were in force; NULL: those of a
 * system where nothing is loaded. *ret_error gets what load_config_parse() returns. */
struct load_config *load_words(const char *text, const struct load_config *loaded, int *ret_error);

/* The same for words that have to be accepted. */
struct load_config *load_words_accepted(const char *text);

/* For what both return. */
void load_words_free(struct load_config *config);

#endif
