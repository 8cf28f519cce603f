// SPDX-License-Identifier: GPL-2.0-only
/* The bytes that the ends send. One table for all files: peer.h makes one for each file that
 * asks for it, and not safely in several threads. */
#include "torture.h"

#include <sys/mman.h>

static int file;

void stream_init(void)
{
	file = memfd_create("stream", MFD_CLOEXEC);
	if (file < 0 || write(file, stream_at(0, 0), PERIOD + CHUNK) != PERIOD + CHUNK)
		die("memfd");
}

int stream_file(const char *bytes, off_t *ret_offset)
{
	*ret_offset = bytes - stream_at(0, 0);
	return file;
}

const char *stream_bytes(const struct end *e, int who, uint64_t offset)
{
	return stream_at(e->s.key + who, offset);
}
