// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/kernel_features.h"

#include <errno.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

#include "util/cleanup.h"
#include "util/log.h"

static struct btf *btf; /* several megabytes */

int kernel_types_error(int error)
{
	struct btf *again;

	if (error != -ESRCH)
		return error;
	again = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	if (!again && is_shortage(-errno))
		return -errno;
	btf__free(again);
	return error;
}

int kernel_types_read(void)
{
	if (!btf)
		btf = btf__load_vmlinux_btf();
	return btf ? 0 : kernel_types_error(-errno);
}

/* The BTF id of a function or type of the kernel; 0 or less if the kernel has none of that name. */
static int kernel_type_id(const char *name, __u32 kind)
{
	kernel_types_read();
	return btf ? btf__find_by_name_kind(btf, name, kind) : 0;
}

static bool kernel_has(const char *name, __u32 kind)
{
	return kernel_type_id(name, kind) > 0;
}

bool kernel_has_rdonly_cast(void)
{
	return kernel_has("bpf_rdonly_cast", BTF_KIND_FUNC);
}

bool kernel_reports_recv_flags(void)
{
	return kernel_has("btf_trace_sock_recv_length", BTF_KIND_TYPEDEF);
}

/* Loads an empty iterator program to find out: a hardened kernel refuses it with EPERM. */
int kernel_has_map_iterators(void)
{
	const struct bpf_insn empty[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER);
	_cleanup_fd_ int fd = -1;
	int id;

	id = kernel_type_id("bpf_iter_bpf_sk_storage_map", BTF_KIND_FUNC);
	if (id <= 0)
		return 0;
	opts.attach_btf_id = id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "shunt_probe", "GPL", empty, 2, &opts);
	return fd >= 0 ? 1 : is_shortage(-errno) ? -errno : 0;
}

bool kernel_has_sock_destroy(void)
{
	return kernel_has("bpf_sock_destroy", BTF_KIND_FUNC);
}
