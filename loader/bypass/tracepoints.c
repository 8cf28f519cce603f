// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/tracepoints.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"

static int attach_tracepoint(const char *prog)
{
	_cleanup_fd_ int fd = pin_open(HALF_BYPASS, "progs", prog);
	int link;

	if (fd < 0)
		return -1;
	link = bpf_raw_tracepoint_open(NULL, fd);
	if (link < 0)
		say("can't watch receive calls (%s): %s", prog, strerror(errno));
	return link;
}

void tracepoint_set_attached(int *link, const char *prog, bool attached)
{
	if (attached && *link < 0) {
		*link = attach_tracepoint(prog);
	} else if (!attached) {
		close_fd(link);
		*link = -1;
	}
}

void tracepoint_set_pinned(int *link, const char *prog, bool attached)
{
	char path[PIN_PATH];

	pin_path(path, HALF_BYPASS, "links", prog);
	if (attached && *link < 0) {
		*link = bpf_obj_get(path);
		if (*link >= 0)
			return;
		*link = attach_tracepoint(prog);
		if (*link >= 0 && bpf_obj_pin(*link, path))
			say("can't pin '%s': %s", path, strerror(errno));
	} else if (!attached && *link >= 0) {
		unpin(HALF_BYPASS, "links", prog);
		close_fd(link);
		*link = -1;
	}
}
