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

/* The name of the first option of the half that differs from config->loaded and can't change while
 * that is loaded; NULL if none does. */
const char *load_options_fixed(enum half half, const struct load_config *config);

/* The name of the first option of the half that differs from config->loaded; NULL if none does. The
 * options that name attachments are not compared. */
const char *load_options_changed(enum half half, const struct load_config *config);

/* Makes *now the settings in force, instead of config->loaded: takes over what no word says. */
void load_options_rebase(struct load_config *config, const struct load_config *now);

/* Prints the help of all options. */
void load_options_help(void);

#endif
