/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF maps in plain memory, for functions that work on pinned maps. The linker directs
 * calls of libbpf and of bpf/pins.h to these (UNIT_WRAP in the Makefile).
 */
#ifndef SHUNT_TESTS_FAKE_MAPS_H
#define SHUNT_TESTS_FAKE_MAPS_H

#include <stddef.h>

#include <linux/types.h>

/* Makes a pinned array that pin_mmap() finds. Returns its memory, all zero, which stays until
 * the program ends. */
void *fake_array(const char *name, size_t size);

/* Makes a pinned hash table of at most `most` entries, which pin_open() finds. Returns its fd. */
int fake_hash(const char *name, size_t key_size, size_t value_size, size_t most);

/* Makes a pinned array with one entry, which is another map. Returns its fd. */
int fake_outer(const char *name);

/* Returns the memory of the map in such an array, and its size. */
void *fake_inner(int outer, size_t *ret_size);

/* Returns the number of entries of a hash table. */
size_t fake_count(int fd);

/* The n-th call from now on that makes or changes a map fails with this errno. */
void fake_fail(int n, int error);

/* Gives an interface whose name begins with "fake" an index, unless that is 0. Returns the
 * index that it has. if_nametoindex() returns the same. */
unsigned int fake_ifindex(const char *name, unsigned int ifindex);

/* Removes all maps but those of fake_array(). */
void fake_reset(void);

#endif
