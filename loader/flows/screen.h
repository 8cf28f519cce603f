/* SPDX-License-Identifier: GPL-2.0-only */
/* The terminal, when it is ours: one full screen, and single keys. */
#ifndef SHUNT_SCREEN_H
#define SHUNT_SCREEN_H

#include <stdbool.h>

/* Are both standard input and output a terminal? */
bool screen_there(void);

/* Takes the terminal, and gives it back as it was. 0 or -errno, said. */
int screen_open(void);
void screen_close(void);

/* Its size now. */
void screen_size(unsigned int *ret_lines, unsigned int *ret_columns);

/* Shows text from the top left; what goes beyond the edges is cut off. */
void screen_show(const char *text);

/* A key that was pressed, 0 if none. */
int screen_key(void);

#endif
