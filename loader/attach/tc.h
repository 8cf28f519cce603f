/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaches programs to an interface's ingress or egress: by a tcx link, or by a clsact filter
 * where the kernel has no tcx (before Linux 6.6). A tcx link belongs to shunt alone and goes with
 * its pin. Other programs may use the clsact qdisc, too: see clsact.h.
 */
#ifndef SHUNT_TC_H
#define SHUNT_TC_H

#include <stdbool.h>

#include <shunt/abi.h>

/* The name of the program that an attachment of this kind runs; NULL if it is not for an
 * interface. */
const char *tc_program_name(const struct shunt_attachment *a);

/*
 * Attaches the program to a->ifindex, at the hook of a->kind, and pins a tcx link at link_pin. The
 * entry must be in the pinned map: tc_attach() writes clsact, qdisc and priority there before each
 * change, so that tc_detach() can undo the change after a kill. A failure undoes itself, and sets
 * those three to 0 again. Returns 0, or -errno after reporting it.
 */
int tc_attach(struct shunt_attachment *a, int prog_fd, const char *link_pin);

/*
 * Undoes tc_attach(), however far it got; it is no error if the program is gone already. If
 * prog_fd is negative, a filter is shunt's if its program has the right name. Returns 0, or -errno
 * after reporting it.
 */
int tc_detach(const struct shunt_attachment *a, int prog_fd, const char *link_pin);

/*
 * The same for a program that stays only while this process runs. The entry is in the memory of
 * the process and has the process as its owner. *ret_link gets the fd of the tcx link, or stays as
 * it is with clsact; tc_detach_link() sets it to -1.
 */
int tc_attach_link(struct shunt_attachment *a, int prog_fd, int *ret_link);
int tc_detach_link(const struct shunt_attachment *a, int prog_fd, int *link);

/* Removes the clsact filters of processes that were killed before tc_detach_link(). Returns 0, or
 * -errno after reporting it. */
int tc_remove_orphans(int ifindex, const char *name);

/* Whether the program is still attached. prog_fd as for tc_detach(). Returns 1, 0, or -errno
 * without a message. */
int tc_is_attached(const struct shunt_attachment *a, int prog_fd, const char *link_pin);

/* Whether the program is attached to an interface that has moved to another network namespace.
 * tc_is_attached() is 0 then. */
bool tc_has_moved_away(const struct shunt_attachment *a, const char *link_pin);

/* Whether the kernel has tcx, asked at this interface. Other programs can't remove a tcx link. */
bool tc_has_tcx(int ifindex);

/* Counts the programs and filters at ingress that are not shunt's; the tables of u32 filters count,
 * too. Returns the number, or -errno without a message. */
int tc_count_foreign(int ifindex);

#endif
