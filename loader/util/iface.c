// SPDX-License-Identifier: GPL-2.0-only
#include "util/iface.h"

#include <errno.h>

int iface_index(const char *name, __u32 *ret)
{
	__u32 index = if_nametoindex(name);

	if (!index && errno != ENODEV && errno != ENXIO)
		return -errno;
	*ret = index;
	return 0;
}

int iface_name(__u32 index, char ret[IF_NAMESIZE])
{
	if (if_indextoname(index, ret))
		return 1;
	return errno == ENXIO || errno == ENODEV ? 0 : -errno;
}
