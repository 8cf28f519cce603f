/* SPDX-License-Identifier: GPL-2.0-only */
/* What the words of 'shunt load' and a rule file ask for. */
#ifndef SHUNT_LOAD_CONFIG_H
#define SHUNT_LOAD_CONFIG_H

#include <stdbool.h>

#include <shunt/abi.h>

#include "bpf/halves.h"
#include "config/rule_file.h"

struct load_config {
	/* The settings in force, which hold unless a word says something else. */
	const struct load_config *loaded;
	bool is_loaded; /* some half is; otherwise *loaded has the defaults */
	struct shunt_attachment attachments[SHUNT_ATTACHMENTS]; /* to be attached: the first n */
	unsigned int n;
	struct shunt_exclude excludes[SHUNT_EXCLUDES];
	struct shunt_conf conf;
	struct shunt_nat nat_conf;
	struct rule_file file; /* of --config; without a name if there is none */
	char router
		[ATTACHMENT_NAME_SIZE]; /* path of the router's cgroup, "" without --router-cgroup */
	bool bypass;                    /* the halves that are wanted */
	bool steer;
	bool monitor;
	bool nat;
	bool kernel_tested; /* conf.fionread_faulty is what a self-test found */
	bool settings;      /* there are options with values, or rules */
	bool eager;         /* some cgroup is attached under this admission */
	bool proven;
	bool force; /* attach 'eager' even where the kernel would lose data */
	bool check; /* report all errors, and say what would change */
	bool whole; /* the file has the whole configuration: what it lacks goes */
};

/* The settings that hold where no word says something else. Reports errors and returns
 * -errno. */
int load_config_defaults(struct load_config *config);

/*
 * Reads the words of 'shunt load'; argv[0] is "load". *config is all zero but for loaded, is_loaded and check.
 * Returns 0, or -errno after reporting it. The caller frees config->file by rule_file_free(), after
 * an error too.
 */
int load_config_parse(int argc, char **argv, struct load_config *config);

/* Reads the options of config->file, which has been read, on top of config->loaded: for 'shunt
 * apply'. Returns 0, or -errno after reporting it. */
int load_config_read_options(struct load_config *config);

/* Refuses a file that has more rules than --max-rules. Returns 0, or -errno after reporting it with the
 * line of the first rule too many. */
int load_config_check_room(const struct load_config *config);

/* The line of the file that names a cgroup; 0 if none does. */
unsigned int load_config_line_of_cgroup(const struct load_config *config, const char *path);

/* Whether the words of load name an attachment of the half. */
bool load_config_names(const struct load_config *config, enum half half);

/* Whether the words of load concern the half: an attachment, or a setting that differs from what is
 * loaded. */
bool load_config_wants(const struct load_config *config, enum half half);

#endif
