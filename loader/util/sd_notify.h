/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_SD_NOTIFY_H
#define SHUNT_SD_NOTIFY_H

/* Tells the service manager, if it asked to be told: sd_notify(3). */
void notify(const char *text);

#endif
