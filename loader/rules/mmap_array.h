/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arrays that are the only entry of an outer map, so that a larger one can be
 * put in their place. A command maps the parts that it touches into memory.
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
	__u8 *mapped; /* one for each window */
};

/* Makes an array: its fd, or -errno, said. */
int inner_create(const char *name, __u32 value_size, __u32 entries);

/* Opens the array in a pinned outer map: its fd, or -errno, unsaid. */
int inner_pinned(const char *name);

/* Puts the array into the outer map. No program uses the one that was there
 * any more when it returns. 0 or -errno, said. */
int inner_install(int outer, int inner);

/* Takes over the fd; 0 or -errno, unsaid. */
int mmap_array_open(struct mmap_array *ret, int fd);
void mmap_array_close(struct mmap_array *r);

/* The memory of some bytes in it; ends the program if it can't be mapped. */
void *mmap_array_at(struct mmap_array *r, size_t at, size_t len);

#endif
