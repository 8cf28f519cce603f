/* SPDX-License-Identifier: GPL-2.0-only */
/* What the words of 'shunt load' and a rule file ask for. */
#ifndef SHUNT_LOAD_CONFIG_H
#define SHUNT_LOAD_CONFIG_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "config/rule_file.h"

struct load_config {
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
	bool eager; /* some cgroup is attached under this admission */
	bool proven;
	bool force; /* attach 'eager' even where the kernel would lose data */
};

/*
 * Reads the words of 'shunt load'; argv[0] is "load". *config is all zero. Returns 0, or -errno
 * after reporting it. The caller frees config->file by rule_file_free(), after an error too.
 */
int load_config_parse(int argc, char **argv, struct load_config *config);

/* The name of an option that differs from what is loaded; NULL if none does. */
const char *load_config_difference(const struct load_config *wanted,
				   const struct load_config *loaded);

#endif
