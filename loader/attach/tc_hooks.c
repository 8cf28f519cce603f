// SPDX-License-Identifier: GPL-2.0-only
#include "attach/tc_hooks.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "attach/tc.h"
#include "util/cleanup.h"

/*
 * Programs run in the order of attachment, or of clsact priority (0x53 is "S"; the priorities that
 * tc chooses count down from 0xc000). At ingress NAT runs before steering, so steering sees the
 * addresses that NAT restored. At egress NAT runs after steering, so it does not translate packets
 * that steering takes. The monitor runs last at ingress, where it sees the mark of steering, and
 * first at egress, before any program that redirects packets.
 */
static const struct hook hooks[] = {
	[ATTACH_IFACE] = { "shunt_steer", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0, 0x5300 },
	[ATTACH_LOCAL_OUT] = { "shunt_local", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, TCX_FIRST,
			       0x5300 },
	[ATTACH_LOCAL_IN] = { "shunt_arrive", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0,
			      0x5300 },
	[ATTACH_MONITOR_IN] = { "shunt_count_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0,
				0x5380 },
	[ATTACH_MONITOR_OUT] = { "shunt_count_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS,
				 TCX_FIRST, 0x5200 },
	[ATTACH_NAT_IN] = { "shunt_nat_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, TCX_FIRST,
			    0x5280 },
	[ATTACH_NAT_OUT] = { "shunt_nat_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, 0, 0x5380 },
	[ATTACH_NAT_RAW_IN] = { "shunt_nat_raw_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS,
				TCX_FIRST, 0x5280 },
	[ATTACH_NAT_RAW_OUT] = { "shunt_nat_raw_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, 0,
				 0x5380 },
};

const struct hook *hook_of(const struct shunt_attachment *a)
{
	return &hooks[a->kind];
}

const char *tc_program_name(const struct shunt_attachment *a)
{
	return a->kind < sizeof(hooks) / sizeof(hooks[0]) ? hook_of(a)->program : NULL;
}

static int program_info(int fd, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

int program_is_named(__u32 id, const char *name)
{
	_cleanup_fd_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info;
	int error;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	error = program_info(fd, &info);
	if (error)
		return error;
	return !strncmp(info.name, name, strnlen(name, BPF_OBJ_NAME_LEN - 1));
}

int program_is_own(const struct shunt_attachment *a, __u32 id, int prog_fd)
{
	struct bpf_prog_info info;
	int error;

	if (prog_fd < 0)
		return program_is_named(id, hook_of(a)->program);
	error = program_info(prog_fd, &info);
	return error ? error : info.id == id;
}
