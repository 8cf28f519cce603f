/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Filters of the clsact qdisc, for kernels without tcx. Other programs may use that qdisc as well,
 * so shunt recognises its own filters by priority, handle and program.
 */
#ifndef SHUNT_CLSACT_H
#define SHUNT_CLSACT_H

#include <shunt/abi.h>

/* As tc_attach() and tc_detach(), which call these for clsact. Return 0, or -errno after reporting
 * it. */
int clsact_attach(struct shunt_attachment *a, int prog_fd);
int clsact_detach(const struct shunt_attachment *a, int prog_fd);

/* Lets the filter of the attachment run another program; does nothing if the interface is gone. Returns
 * 0, or -errno after reporting it. */
int clsact_replace(const struct shunt_attachment *a, int prog_fd);

/* Whether the filter of the attachment exists. Returns 1, 0, or -errno without a message. */
int clsact_has_filter(const struct shunt_attachment *a, int prog_fd);

/* Removes the filters of this kind that killed commands left, up to the first that can't be
 * removed. Returns 0, or -errno after reporting it. */
int clsact_remove_orphans(int ifindex, const char *name, enum attachment_kind kind);

/* Counts the filters at ingress that are not shunt's. Returns 0, or -errno without a message. */
int clsact_count_foreign(int ifindex, int *ret_count);

#endif
