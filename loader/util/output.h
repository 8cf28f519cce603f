/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The output and the messages of a command wait in memory as long as the command holds a lock.
 * Else a slow reader of the output, such as a pager, would hold up every process that waits for
 * the lock.
 */
#ifndef SHUNT_OUTPUT_H
#define SHUNT_OUTPUT_H

#include <stdbool.h>

/* Makes stdout and stderr write to memory. Calls nest. */
void output_hold(void);

/* Ends one output_hold(). The outermost call prints what was written meanwhile. */
void output_release(void);

/* Flushes stdout at the end of the program. Returns false and sets errno if any output was lost. */
bool output_finish(void);

#endif
