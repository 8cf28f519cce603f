/* SPDX-License-Identifier: GPL-2.0-only */
/* shunt apply of a file that has options: attachments and settings together with the rules. */
#ifndef SHUNT_APPLY_ALL_H
#define SHUNT_APPLY_ALL_H

#include "config/load_config.h"

/*
 * Brings what is loaded to what config->file says, which has been read. If the file names an attachment, it is
 * the whole configuration; otherwise it changes the settings that it names, and the rules. With
 * config->check only says what would change. Returns 0, or -errno after reporting it.
 */
int apply_all(struct load_config *config);

#endif
