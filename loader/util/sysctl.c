// SPDX-License-Identifier: GPL-2.0-only
#include "util/sysctl.h"

#include <errno.h>
#include <stdio.h>

static FILE *open_setting(const char *iface, const char *name, const char *mode)
{
	char path[256];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", iface, name);
	return fopen(path, mode);
}

long sysctl_get(const char *iface, const char *name)
{
	FILE *f = open_setting(iface, name, "re");
	long value;

	if (!f)
		return -errno;
	errno = 0;
	if (fscanf(f, "%ld", &value) != 1)
		value = errno ? -errno : -EIO;
	fclose(f);
	return value;
}

int sysctl_set(const char *iface, const char *name, long value)
{
	FILE *f = open_setting(iface, name, "we");

	if (!f)
		return -errno;
	fprintf(f, "%ld\n", value);
	return fclose(f) ? -errno : 0;
}
