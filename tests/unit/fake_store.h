/* SPDX-License-Identifier: GPL-2.0-only */
/* A rule store without rules, in fake maps, as 'shunt load' leaves it. */
#ifndef SHUNT_TESTS_FAKE_STORE_H
#define SHUNT_TESTS_FAKE_STORE_H

#include <stddef.h>

#include <linux/types.h>

/* Opens the store. The interfaces fake0 and fake1 exist, with the indexes 11 and 12. */
void fake_store_open(__u32 max_rules);
void fake_store_close(void);

/* Returns the memory of the store in force, and its size. */
void *fake_store(size_t *ret_size);

#endif
