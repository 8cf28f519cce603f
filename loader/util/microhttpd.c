// SPDX-License-Identifier: GPL-2.0-only
#include "util/microhttpd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "util/log.h"

#define LIBRARY "libmicrohttpd.so.12"

#define FUNCTION(name) \
	{ \
		"MHD_" #name, offsetof(struct microhttpd, name) \
	}

static const struct {
	const char *name;
	size_t at;
} functions[] = {
	FUNCTION(start_daemon),
	FUNCTION(run_wait),
	FUNCTION(get_connection_info),
	FUNCTION(lookup_connection_value),
	FUNCTION(create_response_from_buffer),
	FUNCTION(create_response_from_fd64),
	FUNCTION(add_response_header),
	FUNCTION(queue_response),
	FUNCTION(destroy_response),
};

int microhttpd_load(struct microhttpd *ret)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *function;
	size_t i;

	if (!library)
		return deny(-ENOENT, "can't load the library '" LIBRARY "': %s", dlerror());
	for (i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		function = dlsym(library, functions[i].name);
		if (!function)
			return deny(-ENOSYS, "the library '" LIBRARY "' is too old: it lacks %s",
				    functions[i].name);
		memcpy((char *)ret + functions[i].at, &function, sizeof(function));
	}
	return 0;
}
