/* SPDX-License-Identifier: GPL-2.0-only */
/* The settings of the halves that are loaded, in their pinned maps. */
#ifndef SHUNT_SETTINGS_H
#define SHUNT_SETTINGS_H

#include <stdbool.h>

#include "config/load_config.h"

/* Puts the settings of the halves that are loaded over those of *config, and copies the table of
 * attachments into it. Returns how many halves are loaded, or -errno after reporting it. */
int settings_read(struct load_config *config, bool ret_loaded[HALVES]);

/* Copies the table of attachments alone, with the present names of interfaces. Returns 0, or -errno
 * after reporting it. */
int settings_read_attachments(struct load_config *config);

/* Writes those settings of a loaded half that can change while it is loaded, and that differ from
 * config->loaded. Returns 0, or -errno after reporting it. */
int settings_write(enum half half, const struct load_config *config);

#endif
