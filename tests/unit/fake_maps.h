/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF maps on plain memory, for functions that work on pinned maps. The linker leads the
 * calls of libbpf and of bpf/pins.h here (UNIT_WRAP in the Makefile).
 */
#ifndef SHUNT_TESTS_FAKE_MAPS_H
#define SHUNT_TESTS_FAKE_MAPS_H

#include <stddef.h>

#include <linux/types.h>

/* A pinned array that pin_mmap() finds: its memory, all zero. It stays until the end. */
void *fake_array(const char *name, size_t size);

/* A pinned hash table that pin_open() finds: its fd. At most most entries. */
int fake_hash(const char *name, size_t key_size, size_t value_size, size_t most);

/* A pinned array with one entry, which is another map: its fd. */
int fake_outer(const char *name);

/* The memory of the map that is in such an array, and its size. */
void *fake_inner(int outer, size_t *ret_size);

/* Entries of a hash table. */
size_t fake_count(int fd);

/* The n-th call from now on that makes or changes a map fails with this errno. */
void fake_fail(int n, int error);

/* Gives an interface whose name begins with "fake" an index, unless that is 0; returns the
 * one that it has. if_nametoindex() knows it, too. */
unsigned int fake_ifindex(const char *name, unsigned int ifindex);

/* Removes all maps but those of fake_array(). */
void fake_reset(void);

#endif
