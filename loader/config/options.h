/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The options of 'shunt load': one table, from which come the parsing of words and of rule
 * files, the help, and the answer to "which option differs from what is loaded".
 */
#ifndef SHUNT_LOAD_OPTIONS_H
#define SHUNT_LOAD_OPTIONS_H

#include <stdbool.h>

#include "config/load_config.h"
#include "config/option_values.h"

struct load_option;

/* The option of this name, which begins with "--"; NULL if there is none. */
const struct load_option *load_option_find(const char *name);

/* Whether a rule file may hold the option, too. */
bool load_option_in_file(const struct load_option *option);

/* Reads the value of the option into *config. Returns 0, or -errno after reporting it. The value
 * may be changed. */
int load_option_set(const struct load_option *option, struct load_config *config, char *value);

/* Whether the option names an attachment. */
bool load_option_attaches(const struct load_option *option);

/* Whether the option adds to a list, instead of setting a value. */
bool load_option_is_list(const struct load_option *option);

/* The half that the option belongs to, and its name, with dashes. */
enum half load_option_half(const struct load_option *option);
const char *load_option_name(const struct load_option *option);

/* The name of the first option of the half that differs from config->loaded and can't change while
 * that is loaded; NULL if none does. */
const char *load_options_fixed(enum half half, const struct load_config *config);

/* The name of the first option of the half that differs from config->loaded; NULL if none does. The
 * options that name attachments are not compared. */
const char *load_options_changed(enum half half, const struct load_config *config);

/* Makes *now the settings in force, instead of config->loaded: takes over what no word says. */
void load_options_rebase(struct load_config *config, const struct load_config *now);

/* The settings of a half in its pinned maps. */
struct pinned_settings {
	struct shunt_conf *conf;
	struct shunt_nat *nat;          /* of NAT only */
	struct shunt_exclude *excludes; /* of the bypass only */
};

/* Copies all settings of a half from the pinned maps. */
void load_options_read(enum half half, const struct pinned_settings *from,
		       struct load_config *config);

/* Copies to the pinned maps those settings of a half that can change while the half is loaded. */
void load_options_write(enum half half, const struct load_config *config,
			const struct pinned_settings *to);

/* A value of an option, as text that load_option_set() reads. */
struct option_value {
	const struct load_option *option; /* NULL before the first call of load_options_next() */
	unsigned int i;
	char text[OPTION_TEXT];
};

/* Goes to the next value that *config has and *base lacks, in the order of the table of options.
 * Attachments that a pattern or a rule brought are passed over. Returns false at the end. */
bool load_options_next(const struct load_config *config, const struct load_config *base,
		       struct option_value *at);

/* Prints the help of all options. */
void load_options_help(void);

#endif
