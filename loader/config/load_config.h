/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_LOAD_CONFIG_H
#define SHUNT_LOAD_CONFIG_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "config/rule_file.h"

/* What somebody asks of 'shunt load', by words and by a file. */
struct request {
	struct shunt_state states[SHUNT_STATES];
	unsigned int n;
	struct shunt_exclude excludes[SHUNT_EXCLUDES];
	struct shunt_conf conf;
	struct rule_file config;
	char router[SHUNT_NAME]; /* path of its cgroup, "" if it was not told */
	struct shunt_nat nat_conf;
	bool bypass;
	bool steer;
	bool monitor;
	bool alone; /* nothing but a monitor's programs and maps */
	bool nat;
	bool eager; /* some cgroup is */
	bool proven;
	bool force; /* whatever the kernel does */
	bool all;   /* programs that program_open() loads when they are needed, too */
};

int load_usage(void);

/* Is it an option that a file may name, too? */
bool is_load_option(const char *word);

/* argv[0] is "load". *req is all zero; 0, or -errno, said. Either way the caller
 * frees req->config with rule_file_free(). */
int request_parse(int argc, char **argv, struct request *req);

/* The settings of a load without options. */
void request_defaults(struct shunt_conf *conf);

/* The option that says something else than what is loaded, NULL if none does. */
const char *request_other(struct request *req, struct shunt_state *states,
			  const struct shunt_conf *conf);

/* The other entry for the same thing among SHUNT_STATES, or NULL. */
struct shunt_state *state_same(struct shunt_state *states, const struct shunt_state *s);

/* Default of --host-bytes, in pages: a quarter of what TCP may use in all. */
__u64 default_pages(void);

#endif
