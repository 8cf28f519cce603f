// SPDX-License-Identifier: GPL-2.0-only
#include "config/load_config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "config/defaults.h"
#include "config/nat_options.h"
#include "config/options.h"
#include "util/log.h"

/* Puts the monitor's attachments last. Programs see a packet in the order in which they are attached
 * (attach/tc.c), and the monitor has to see what the others did. */
static void monitors_last(struct load_config *config)
{
	unsigned int i, kept = 0;
	struct shunt_attachment s;

	for (i = 0; i < config->n; i++) {
		if (attachment_is_monitor(&config->attachments[i]))
			continue;
		s = config->attachments[i];
		memmove(&config->attachments[kept + 1], &config->attachments[kept],
			(i - kept) * sizeof(s));
		config->attachments[kept++] = s;
	}
}

static int set_options(struct load_config *config)
{
	const struct rule_file *f = &config->file;
	int i, error, first = 0;

	for (i = 0; i < f->options && (!first || config->check); i += 2) {
		log_set_file_position(f->name, f->option_line[i / 2]);
		error = load_option_set(load_option_find(f->option[i]), config, f->option[i + 1]);
		first = first ? first : error;
	}
	log_set_file_position(NULL, 0);
	return first;
}

static int read_file(struct load_config *config, const char *name)
{
	int error, first;

	if (config->file.name)
		return refuse("load: --config is given twice");
	first = (config->check ? rule_file_check : rule_file_read)(name, &config->file);
	if (first && !config->check)
		return first;
	config->settings |= config->file.options || config->file.count || config->file.nats;
	error = set_options(config);
	return first ? first : error;
}

/* Reads a word without a value. Returns whether the word was one. The caller has set config->check. */
static bool read_flag(struct load_config *config, const char *word)
{
	config->force |= !strcmp(word, "--force");
	return !strcmp(word, "--force") || !strcmp(word, "--check");
}

/* Reads an option and its value. */
static int read_word(struct load_config *config, const char *word, char *value)
{
	const struct load_option *option = load_option_find(word);

	if (!option)
		return refuse("load: unknown word '%s'; see 'shunt load help'", word);
	if (!value)
		return refuse("load: %s: a value is missing", word);
	if (!strcmp(word, "--config"))
		return read_file(config, value);
	config->settings = true;
	return load_option_set(option, config, value);
}

static int read_words(int argc, char **argv, struct load_config *config)
{
	int i, error, first = 0;

	for (i = 1; i < argc && (!first || config->check); i++) {
		if (read_flag(config, argv[i]))
			continue;
		error = read_word(config, argv[i], argv[i + 1]);
		first = first ? first : error;
		i++;
	}
	return first;
}

static const char *excluded_process(const struct load_config *config)
{
	__u32 i;

	for (i = 0; i < config->conf.excludes; i++)
		if (config->excludes[i].kind == EXCLUDE_PROCESS)
			return config->excludes[i].comm;
	return NULL;
}

static int refuse_process(const struct load_config *config, const char *process)
{
	const unsigned int line = rule_file_line_of(&config->file, "--exclude");

	if (line)
		log_set_file_position(config->file.name, line);
	refuse("--exclude 'process:%s': is for 'proven'; with 'eager' you declare that all programs in "
	       "a cgroup are fit for the fast path",
	       process);
	log_set_file_position(NULL, 0);
	return -EINVAL;
}

int load_config_check_room(const struct load_config *config)
{
	const struct rule_file *f = &config->file;
	const __u32 max = config->conf.max_rules;

	if (f->count <= max)
		return 0;
	log_set_file_position(f->name, f->line[max].number);
	deny(-ENOSPC, "no room for more than %u rules; name a larger --max-rules", max);
	log_set_file_position(NULL, 0);
	return -ENOSPC;
}

/* Whether a word of load names a setting that is loaded. */
static bool load_config_changes(const struct load_config *config)
{
	return config->is_loaded && config->settings;
}

/* Refuses options that have no effect without another option. */
static int check_combination(const struct load_config *config)
{
	const char *process = excluded_process(config);

	if (config->file.count && !config->steer && !config->is_loaded)
		return refuse("load: '%s' has rules, but there is no --iface", config->file.name);
	if (config->file.nats && !config->steer && !config->nat && !config->is_loaded)
		return refuse("load: '%s' has NAT rules, but there is no --nat and no --iface",
			      config->file.name);
	if (config->conf.excludes && !config->bypass && !config->is_loaded)
		return refuse(
			"load: --exclude keeps pairs off the fast path, but there is no --cgroup");
	if (process && !config->proven && !config->loaded->proven)
		return refuse_process(config, process);
	if (!config->n && !load_config_changes(config))
		return refuse("load: nothing to do: give --cgroup, --iface, --nat or --monitor");
	return load_config_check_room(config);
}

int load_config_defaults(struct load_config *config)
{
	conf_defaults(&config->conf);
	nat_defaults(&config->nat_conf);
	if (getrandom(config->conf.flow_keys, sizeof(config->conf.flow_keys), 0) < 0)
		return fail(-errno, "no random numbers");
	return 0;
}

/* Takes over what is loaded. */
static void begin_with_loaded(struct load_config *config)
{
	const struct load_config *loaded = config->loaded;

	config->conf = loaded->conf;
	config->nat_conf = loaded->nat_conf;
	memcpy(config->excludes, loaded->excludes, sizeof(config->excludes));
	memcpy(config->router, loaded->router, sizeof(config->router));
}

int load_config_parse(int argc, char **argv, struct load_config *config)
{
	int error;

	begin_with_loaded(config);
	error = read_words(argc, argv, config);
	if (error)
		return error;
	error = check_combination(config);
	if (error)
		return error;
	monitors_last(config);
	conf_set_host_messages(&config->conf);
	return 0;
}

int load_config_read_options(struct load_config *config)
{
	const char *process;
	int error;

	begin_with_loaded(config);
	error = set_options(config);
	if (error)
		return error;
	process = excluded_process(config);
	if (process && !config->proven && (config->whole || !config->loaded->proven))
		return refuse_process(config, process);
	error = load_config_check_room(config);
	if (error)
		return error;
	monitors_last(config);
	conf_set_host_messages(&config->conf);
	return 0;
}

unsigned int load_config_line_of_cgroup(const struct load_config *config, const char *path)
{
	const struct rule_file *f = &config->file;
	char named[PATH_MAX], full[PATH_MAX];
	int i;

	for (i = 0; i < f->options; i += 2) {
		if (strcmp(f->option[i], "--cgroup"))
			continue;
		cgroup_path(f->option[i + 1], named, sizeof(named));
		if (!strcmp(realpath(named, full) ? full : named, path))
			return f->option_line[i / 2];
	}
	return 0;
}

bool load_config_names(const struct load_config *config, enum half half)
{
	const bool named[HALVES] = {
		[HALF_BYPASS] = config->bypass,
		[HALF_STEER] = config->steer,
		[HALF_NAT] = config->nat || config->steer, /* 'shunt nat add' has to find it */
		[HALF_MONITOR] = config->monitor,
	};

	return named[half];
}

bool load_config_wants(const struct load_config *config, enum half half)
{
	return load_config_names(config, half) ||
	       (!config->whole && config->is_loaded && load_options_changed(half, config));
}
