/* SPDX-License-Identifier: GPL-2.0-only */
/* Files below /run/shunt, which each belong to one pin directory. */
#ifndef SHUNT_RUN_DIR_H
#define SHUNT_RUN_DIR_H

#include <stddef.h>

#define RUN_DIR "/run/shunt"

/* Writes the path of the file of the pin directory: the path of that directory, with '-' for '/',
 * and then the suffix. So a caller that may not look into the bpf file system can compute the path,
 * too. Returns 0, or -ENAMETOOLONG without a message. */
int run_dir_path(char *path, size_t size, const char *suffix);

#endif
