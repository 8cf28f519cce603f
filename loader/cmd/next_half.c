// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/next_half.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "attach/next_links.h"
#include "bpf/next.h"
#include "bpf/pins.h"
#include "bypass/lingering.h"
#include "cmd/load_half.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Messages of sockets that enter the map from now on run this verdict. */
static int attach_pinned_verdict(enum half half)
{
	_cleanup_fd_ int map = pin_open(half, "maps", "shunt_socks");
	_cleanup_fd_ int verdict = pin_open(half, "progs", "shunt_verdict");
	_cleanup_fd_ int verdict61 = pin_open(half, "progs", "shunt_verdict61");

	if (bpf_prog_attach(verdict >= 0 ? verdict : verdict61, map, BPF_SK_MSG_VERDICT, 0))
		return fail(-errno, "can't attach the verdict to the map of sockets");
	return 0;
}

int half_switch(enum half half, enum half programs)
{
	_cleanup_fd_ int timer = half == HALF_NAT ? pin_open(programs, "progs", "shunt_nat_init")
						  : -1;
	int error = half == HALF_BYPASS ? attach_pinned_verdict(programs) : 0;

	if (error)
		return error;
	error = timer >= 0 ? nat_start_timer(timer) : 0;
	return error ? error : links_switch(half, programs);
}

/* Whether the folder of the next bypass has members of its own: it is that of the former bypass, or an
 * upgrade was killed while it let connections run the next programs. */
static bool is_bypass_of_its_own(enum half half)
{
	const __u32 socks = pin_map_id(half_next(half), "shunt_socks");

	return half == HALF_BYPASS && socks && socks != pin_map_id(half, "shunt_socks");
}

int remove_next(enum half half)
{
	char path[PIN_PATH];
	int error;

	if (access(pin_path(path, half_next(half), "", ""), F_OK))
		return 0;
	if (!access(pin_path(path, half, "links", ""), F_OK)) {
		error = half_switch(half, half);
		if (error)
			return error;
	}
	if (!is_bypass_of_its_own(half))
		return remove_half(half_next(half));
	error = lingering_begin(half_next(half));
	return error ? error : lingering_sweep();
}

int remove_all_next(void)
{
	int half, error, first = 0;

	for (half = 0; half < HALVES; half++) {
		error = remove_next(half);
		first = first ? first : error;
	}
	if (!first)
		attachments_next_remove();
	return first;
}
