/* SPDX-License-Identifier: GPL-2.0-only */
/* Frees or closes what a variable holds when the variable goes out of scope. */
#ifndef SHUNT_CLEANUP_H
#define SHUNT_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_fd_ _cleanup_(close_fd)
#define _cleanup_free_ _cleanup_(free_ptr)

/* Returns *fd and sets it to -1: the caller owns the file descriptor now. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
