/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Filters of the clsact qdisc, for kernels without tcx. Anybody may use that qdisc: a filter
 * of shunt is recognised by its place and its program.
 */
#ifndef SHUNT_CLSACT_H
#define SHUNT_CLSACT_H

#include <shunt/abi.h>

/* As tc_attach() and tc_detach(). They report errors and return -errno. */
int clsact_attach(struct shunt_attachment *a, int prog_fd);
int clsact_detach(const struct shunt_attachment *a, int prog_fd);

/* 1 if the filter of the attachment is there, 0 if not, or -errno without a message. */
int clsact_find(const struct shunt_attachment *a, int prog_fd);

/* Removes the filters of this kind that killed processes left. Ends with the first that
 * can't be removed: reports errors and returns -errno. */
int clsact_sweep(int ifindex, const char *name, enum attachment_kind kind);

/* Counts the filters at ingress that are not shunt's. Returns -errno without a message. */
int clsact_count_foreign(int ifindex, int *ret_count);

#endif
