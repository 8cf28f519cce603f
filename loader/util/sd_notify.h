/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages to the service manager. */
#ifndef SHUNT_SD_NOTIFY_H
#define SHUNT_SD_NOTIFY_H

/* Sends text, such as "READY=1", to the service manager if it asks for that by NOTIFY_SOCKET:
 * sd_notify(3). A failure is reported with -v only. */
void notify_service_manager(const char *text);

#endif
