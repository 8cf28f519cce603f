/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads and prints the values of those options of 'shunt load' that are not just a number. */
#ifndef SHUNT_OPTION_VALUES_H
#define SHUNT_OPTION_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/load_config.h"

/* Room for each value. */
#define OPTION_TEXT 256

/* Reads a decimal number, or a hexadecimal one after 0x. Returns 0, or -EINVAL after reporting it. */
int parse_u64(const char *option, const char *text, __u64 low, __u64 high, __u64 *ret);

/* Read a value into *config. Return 0, or -errno after reporting it. The value may be changed. */
int add_cgroup(struct load_config *config, const char *option, char *value);
int add_iface(struct load_config *config, const char *option, char *value);
int add_monitor(struct load_config *config, const char *option, char *value);
int add_nat(struct load_config *config, const char *option, char *value);
int add_exclude(struct load_config *config, const char *option, char *value);
int set_router(struct load_config *config, const char *option, char *value);
int set_host_bytes(struct load_config *config, const char *option, char *value);
int set_mark(struct load_config *config, const char *option, char *value);
int set_table(struct load_config *config, const char *option, char *value);
int set_flows(struct load_config *config, const char *option, char *value);
int set_nat_idle(struct load_config *config, const char *option, char *value);

/*
 * Write the values that *config has and *base lacks, one a call, as the functions above read them.
 * *i counts up from 0. Return false when there is none any more. Of attachments, those that a
 * pattern or a rule brought are passed over.
 */
bool next_cgroup(const struct load_config *config, const struct load_config *base, unsigned int *i,
		 char ret[OPTION_TEXT]);
bool next_iface(const struct load_config *config, const struct load_config *base, unsigned int *i,
		char ret[OPTION_TEXT]);
bool next_monitor(const struct load_config *config, const struct load_config *base, unsigned int *i,
		  char ret[OPTION_TEXT]);
bool next_nat(const struct load_config *config, const struct load_config *base, unsigned int *i,
	      char ret[OPTION_TEXT]);
bool next_exclude(const struct load_config *config, const struct load_config *base, unsigned int *i,
		  char ret[OPTION_TEXT]);
bool next_router(const struct load_config *config, const struct load_config *base, unsigned int *i,
		 char ret[OPTION_TEXT]);
bool next_host_bytes(const struct load_config *config, const struct load_config *base,
		     unsigned int *i, char ret[OPTION_TEXT]);
bool next_nat_idle(const struct load_config *config, const struct load_config *base,
		   unsigned int *i, char ret[OPTION_TEXT]);

#endif
