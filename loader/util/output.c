// SPDX-License-Identifier: GPL-2.0-only
/* In glibc stdout and stderr are variables that a program may assign. */
#include "util/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct held {
	FILE *real;
	FILE *memory; /* NULL: out of memory, the stream prints at once */
	char *text;
	size_t size;
};

static struct held out, err;
static unsigned int holders;
static int lost; /* errno of the first output that could not be written */

static void hold(struct held *h, FILE **stream)
{
	h->real = *stream;
	h->memory = open_memstream(&h->text, &h->size);
	if (h->memory)
		*stream = h->memory;
}

static void release(struct held *h, FILE **stream)
{
	*stream = h->real;
	if (!h->memory)
		return;
	if (ferror(h->memory) | fclose(h->memory))
		lost = lost ? lost : ENOMEM;
	errno = 0;
	if (h->text && fwrite(h->text, 1, h->size, h->real) != h->size && !lost)
		lost = errno;
	free(h->text);
	*h = (struct held){};
}

void output_hold(void)
{
	if (holders++)
		return;
	hold(&out, &stdout);
	hold(&err, &stderr);
}

void output_release(void)
{
	if (!holders || --holders)
		return;
	release(&err, &stderr);
	release(&out, &stdout);
}

bool output_finish(void)
{
	while (holders)
		output_release();
	if (lost) {
		errno = lost;
		return false;
	}
	return !fflush(stdout) && !ferror(stdout);
}
