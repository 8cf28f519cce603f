// SPDX-License-Identifier: GPL-2.0-only
#include "attach/fragment_listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "util/cleanup.h"
#include "util/log.h"

#define WHOLE "shunt_whole"

/* Only now: it costs each look-up for an unconnected socket some ns. */
static int attach_lookup(void)
{
	_cleanup_fd_ int netns = -1, prog = -1, link = -1;
	char path[PIN_PATH];

	pin_path(path, "links", WHOLE);
	if (!access(path, F_OK))
		return 0;
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	prog = pin_open("progs", WHOLE);
	if (netns < 0 || prog < 0)
		return fail(prog < 0 ? prog : -ENOENT, "program '" WHOLE "'");
	link = bpf_link_create(prog, netns, BPF_SK_LOOKUP, NULL);
	if (link < 0)
		return fail(-errno, "can't look up sockets for fragmented datagrams");
	if (bpf_obj_pin(link, path))
		return fail(-errno, "can't pin '%s'", path);
	return 0;
}

int listeners_gather(void)
{
	_cleanup_free_ struct shunt_row *none = NULL;
	_cleanup_fd_ int iter = -1;
	size_t n = 0;
	int error = attach_lookup();

	if (error)
		return error;
	iter = iter_link("shunt_gather", NULL);
	if (iter < 0)
		return fail(iter, "can't look for the listeners of fragmented datagrams");
	return iter_run(iter, &none, &n);
}
