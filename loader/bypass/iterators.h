/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs pinned iterators over sockets and returns their rows. No function here reports errors,
 * except wait_programs(). */
#ifndef SHUNT_ITERATORS_H
#define SHUNT_ITERATORS_H

#include <stddef.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

/* Waits until every run of a BPF program that began before has ended. Returns 0, or -errno after
 * reporting it. */
int wait_programs(void);

/* Binds a pinned iterator of a half to a pinned map (NULL: to none). Returns the fd of the link, or
 * -errno. */
int iter_link(enum half half, const char *prog, const char *map);

/* Runs the iterator once. *ret is what it printed; the caller frees it. Returns 0, or -errno
 * without a message. */
int iter_read(int link, void **ret, size_t *ret_size);

/* iter_read() for an iterator that prints rows. */
int iter_run(int link, struct shunt_row **ret, size_t *ret_n);

/* iter_link() and iter_run(). */
int iter_run_once(enum half half, const char *prog, const char *map, struct shunt_row **ret,
		  size_t *ret_n);

/* Runs a pinned iterator over TCP sockets in every network namespace. Appends its rows to
 * (*rows)[*n], which the caller frees. Returns 0, or -errno without a message. */
int iter_all_netns(enum half half, const char *prog, struct shunt_row **rows, size_t *n);

/* The same, without rows or errors. */
void iter_everywhere(enum half half, const char *prog);

#endif
