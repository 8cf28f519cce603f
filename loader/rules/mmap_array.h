/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A BPF array that is the only entry of an outer map, so that a larger array can take its place. A
 * command maps the array into memory, window by window, as it touches them.
 */
#ifndef SHUNT_MMAP_ARRAY_H
#define SHUNT_MMAP_ARRAY_H

#include <stddef.h>

#include <shunt/abi.h>

struct mmap_array {
	int fd;
	__u32 entries;
	size_t size;
	char *base;
	__u8 *mapped; /* whether each window is mapped */
};

/* Makes an array and returns its fd. Reports errors and returns -errno. */
int inner_create(const char *name, __u32 value_size, __u32 entries);

/* Opens the array that is in a pinned outer map and returns its fd. Returns -errno without a
 * message. */
int inner_pinned(const char *name);

/* Puts the array into the outer map. When the function returns, no program uses the array that
 * was there before. Reports errors and returns -errno. */
int inner_install(int outer, int inner);

/* Opens an array for mmap_array_at(). Owns the fd from now on, after an error too. Returns -errno
 * without a message. */
int mmap_array_open(struct mmap_array *ret, int fd);
void mmap_array_close(struct mmap_array *r);

/* The memory of len bytes from offset at on. Ends the process if they can't be mapped. */
void *mmap_array_at(struct mmap_array *r, size_t at, size_t len);

#endif
