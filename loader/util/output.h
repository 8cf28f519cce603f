/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Output and messages of a command wait in memory as long as it holds a lock: whoever
 * reads them slowly, as a pager does, would hold up all others who want the lock.
 */
#ifndef SHUNT_OUTPUT_H
#define SHUNT_OUTPUT_H

#include <stdbool.h>

/* From here on stdout and stderr write to memory. Calls nest. */
void output_hold(void);

/* The other end of a call of output_hold(); the last one prints what has been written. */
void output_release(void);

/* Flushes stdout at the end of the program. False, with errno, if anything was lost. */
bool output_finish(void);

#endif
