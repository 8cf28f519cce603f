/* SPDX-License-Identifier: GPL-2.0-only */
/* The terminal in full-screen mode: text and single keys. */
#ifndef SHUNT_SCREEN_H
#define SHUNT_SCREEN_H

#include <stdbool.h>

/* Whether standard input and standard output are terminals. */
bool screen_there(void);

/* Switches the terminal to full-screen mode, and back. Reports errors and returns -errno. */
int screen_open(void);
void screen_close(void);

/* The size of the terminal now. */
void screen_size(unsigned int *ret_lines, unsigned int *ret_columns);

/* Shows the text from the top left corner on, and cuts off what does not fit. */
void screen_show(const char *text);

/* The next key that was pressed; 0 if there is none. */
int screen_key(void);

#endif
