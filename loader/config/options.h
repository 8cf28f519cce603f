/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The options of 'shunt load': one table, from which come the parsing of words and of rule
 * files, the help, and the answer to "which option differs from what is loaded".
 */
#ifndef SHUNT_LOAD_OPTIONS_H
#define SHUNT_LOAD_OPTIONS_H

#include <stdbool.h>

#include "config/load_config.h"

struct load_option;

/* The option of this name, which begins with "--"; NULL if there is none. */
const struct load_option *load_option_find(const char *name);

/* Whether a rule file may hold the option, too. */
bool load_option_in_file(const struct load_option *option);

/* Reads the value of the option into *config. Returns 0, or -errno after reporting it. The value
 * may be changed. */
int load_option_set(const struct load_option *option, struct load_config *config, char *value);

/* The name of the first option whose setting differs in the two; NULL if none does. The
 * options that name attachments and excludes are not compared. */
const char *load_options_difference(const struct load_config *a, const struct load_config *b);

/* Prints the help of all options. */
void load_options_help(void);

#endif
