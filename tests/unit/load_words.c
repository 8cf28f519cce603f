// SPDX-License-Identifier: GPL-2.0-only
#include "load_words.h"

#include "unit.h"

static const struct load_config *defaults(void)
{
	static struct load_config all;

	assert_int_equal(load_config_defaults(&all), 0);
	return &all;
}

struct load_config *load_words(const char *text, const struct load_config *loaded, int *ret_error)
{
	struct load_config *config = calloc(1, sizeof(*config));
	struct words w;
	char line[1024];

	assert_non_null(config);
	config->loaded = loaded ? loaded : defaults();
	config->is_loaded = loaded;
	snprintf(line, sizeof(line), "load %s", text);
	words_split(line, &w);
	*ret_error = load_config_parse(w.argc, w.argv, config);
	words_free(&w);
	return config;
}

struct load_config *load_words_accepted(const char *text)
{
	int error;
	struct load_config *config = load_words(text, NULL, &error);

	if (error)
		fail_msg("'%s' is refused", text);
	return config;
}

void load_words_free(struct load_config *config)
{
	rule_file_free(&config->file);
	free(config);
}
