/* SPDX-License-Identifier: GPL-2.0-only */
/* 'shunt load' while shunt is loaded. */
#ifndef SHUNT_LOAD_AGAIN_H
#define SHUNT_LOAD_AGAIN_H

#include "config/load_config.h"

/* Leaves what is loaded, and attaches again what was taken off. conf and attachments are the mapped
 * ones. Returns 0, or -errno after reporting it: -EEXIST if config differs from what is loaded. */
int load_again(const struct load_config *config, struct shunt_conf *conf,
	       struct shunt_attachment *attachments);

#endif
