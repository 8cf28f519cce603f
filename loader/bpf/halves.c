// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/halves.h"

#include <errno.h>
#include <stddef.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"

const char *half_name(enum half half)
{
	static const char *const names[HALF_NEXT_END] = {
		[HALF_BYPASS] = "bypass",
		[HALF_STEER] = "steering",
		[HALF_NAT] = "nat",
		[HALF_MONITOR] = "monitor",
		[HALF_LINGERING] = "bypass_left1",
		"bypass_left2",
		"bypass_left3",
		"bypass_left4",
		"bypass_left5",
		"bypass_left6",
		"bypass_left7",
		"bypass_left8",
		[HALF_NEXT] = "bypass_next",
		"steering_next",
		"nat_next",
		"monitor_next",
	};

	return names[half];
}

enum half attachment_half(const struct shunt_attachment *a)
{
	switch (a->kind) {
	case ATTACH_CGROUP:
		return HALF_BYPASS;
	case ATTACH_MONITOR_IN:
	case ATTACH_MONITOR_OUT:
		return HALF_MONITOR;
	case ATTACH_NAT_IN:
	case ATTACH_NAT_OUT:
	case ATTACH_NAT_RAW_IN:
	case ATTACH_NAT_RAW_OUT:
		return HALF_NAT;
	default:
		return HALF_STEER;
	}
}

int half_map(enum half half, struct half_pins *ret)
{
	*ret = (struct half_pins){ .conf = pin_mmap(half, "shunt_conf", NULL) };
	if (!ret->conf && errno != ENOENT)
		return fail(-errno, "can't map the settings of %s", half_name(half));
	ret->attachments = attachments_map();
	if (!ret->attachments && errno != ENOENT)
		return fail(-errno, "can't map the table of attachments");
	return 0;
}

/* Reads the settings and does not map them: the supervisor calls this several times a second, and a
 * mapping would stay. */
int half_is_loaded(enum half half)
{
	_cleanup_fd_ int fd = pin_open(half, "maps", "shunt_conf");
	struct bpf_map_info info = {};
	__u32 zero = 0, len = sizeof(info);
	struct shunt_conf conf;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.value_size != sizeof(conf)) /* of another version, which pins_lock() refuses */
		return 0;
	if (bpf_map_lookup_elem(fd, &zero, &conf))
		return -errno;
	return conf.abi == SHUNT_ABI && conf.run.loaded;
}

int halves_loaded(bool ret[HALVES])
{
	int half, loaded, count = 0;

	for (half = 0; half < HALVES; half++) {
		loaded = half_is_loaded(half);
		if (loaded < 0)
			return fail(loaded, "can't look whether %s is loaded", half_name(half));
		ret[half] = loaded;
		count += loaded;
	}
	return count;
}

struct shunt_conf *half_conf(enum half half)
{
	return half_is_loaded(half) > 0 ? pin_mmap(half, "shunt_conf", NULL) : NULL;
}
