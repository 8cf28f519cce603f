// SPDX-License-Identifier: GPL-2.0-only
#include "util/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/options.h"

int run_dir_path(char *path, size_t size, const char *suffix)
{
	const char *dir = opt.pin_dir, *p;
	size_t len = sizeof(RUN_DIR);

	if (len + strlen(suffix) >= size)
		return -ENAMETOOLONG;
	memcpy(path, RUN_DIR "/", len);
	for (p = dir + (*dir == '/'); *p; p++) {
		if (*p == '/' && (p[1] == '/' || !p[1]))
			continue;
		if (len + strlen(suffix) + 1 >= size)
			return -ENAMETOOLONG;
		path[len++] = *p == '/' ? '-' : *p;
	}
	strcpy(path + len, suffix);
	return 0;
}
