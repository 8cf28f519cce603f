/* SPDX-License-Identifier: GPL-2.0-only */
/* Sorts and searches arrays that may be empty: qsort() and bsearch() must not get the null
 * pointer of an empty array. */
#ifndef SHUNT_ARRAY_H
#define SHUNT_ARRAY_H

#include <stdlib.h>

typedef int compare_fn(const void *a, const void *b);

static inline void sort_array(void *array, size_t count, size_t size, compare_fn *compare)
{
	if (count)
		qsort(array, count, size, compare);
}

/* Returns the member of the sorted array that equals *key, or NULL. */
static inline void *search_array(const void *key, const void *array, size_t count, size_t size,
				 compare_fn *compare)
{
	return count ? bsearch(key, array, count, size, compare) : NULL;
}

#endif
