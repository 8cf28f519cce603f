/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs at an interface's ingress and egress. */
#ifndef SHUNT_TC_H
#define SHUNT_TC_H

#include <stdbool.h>

#include <shunt/abi.h>

/* Name of the program that an attachment of this kind runs; NULL if it is not
 * to an interface. */
const char *tc_program(const struct shunt_attachment *a);

/*
 * Attaches the program to a->ifindex, where a->kind says: by a tcx
 * link pinned at link_pin, or where the kernel has no tcx by a clsact filter.
 * The entry must be in the pinned map: clsact, qdisc and priority are written
 * there before each change, so that tc_detach() can undo it whenever we die. A
 * failure undoes itself, and sets those three to 0 again.
 */
int tc_attach(struct shunt_attachment *a, int prog_fd, const char *link_pin);

/*
 * Undoes tc_attach(), however far it got; what is gone already is no error.
 * With prog_fd -1 a filter counts as ours by its program's name.
 */
int tc_detach(const struct shunt_attachment *a, int prog_fd, const char *link_pin);

/*
 * The same for the time that this process runs; the entry is its own, and has it
 * as its owner. *link is the tcx link, or stays -1.
 */
int tc_attach_link(struct shunt_attachment *a, int prog_fd, int *ret_link);
int tc_detach_link(const struct shunt_attachment *a, int prog_fd, int *link);

/* Removes the clsact filters that processes left which were killed before
 * tc_detach_link(). 0 or -errno. */
int tc_sweep(int ifindex, const char *name);

/* Is the program still there: 1, 0, or -errno, unsaid? prog_fd as above. */
int tc_attached(const struct shunt_attachment *a, int prog_fd, const char *link_pin);

/* If not: is it at an interface that has left the namespace? */
bool tc_away(const struct shunt_attachment *a, const char *link_pin);

/* Has this kernel links for programs at an interface (tcx)? Others can't remove them. */
bool tc_links(int ifindex);

/* How many programs and filters that are not shunt's are at ingress (u32 counts
 * its tables too); or -errno. */
int tc_foreign(int ifindex);

#endif
