// SPDX-License-Identifier: GPL-2.0-only
/* Programs and maps that only this process uses. */
#include <errno.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/programs.h"
#include "bpf/skeleton.h"
#include "util/log.h"

int private_bypass_open(struct private_bypass *ret)
{
	const struct program_set set = { .bypass = true };
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	struct shunt_conf *conf;
	int error = programs_open(&set, &skel);

	if (error)
		return error;
	error = attach_verdict(skel);
	if (error)
		return error;
	conf = mmap(NULL, sizeof(*conf), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(skel->maps.shunt_conf), 0);
	if (conf == MAP_FAILED)
		return fail(-errno, "can't map the settings");
	/* The self-tests reach none of these bounds. */
	*conf = (struct shunt_conf){
		.abi = SHUNT_ABI,
		.max_bytes = 1U << 30,
		.max_msgs = 1U << 20,
		.max_pages = ~0ULL,
		.host_msgs = ~0U,
	};
	*ret = (struct private_bypass){
		.conf = conf,
		.socks = bpf_map__fd(skel->maps.shunt_socks),
		.storage = bpf_map__fd(skel->maps.shunt_sk),
	};
	ret->skel = take_skel(&skel);
	return 0;
}

void private_bypass_close(struct private_bypass *b)
{
	munmap(b->conf, sizeof(*b->conf));
	shunt_bpf__destroy(b->skel);
}

int private_monitor_open(struct private_monitor *ret)
{
	const struct program_set set = { .monitor = true };
	struct shunt_bpf *skel = NULL;
	int error = programs_open(&set, &skel);

	if (error)
		return error;
	*ret = (struct private_monitor){
		.skel = skel,
		.in = bpf_program__fd(skel->progs.shunt_count_in),
		.out = bpf_program__fd(skel->progs.shunt_count_out),
		.monitor = bpf_map__fd(skel->maps.shunt_monitor),
		.buckets = bpf_map__fd(skel->maps.shunt_buckets),
		.ways = bpf_map__fd(skel->maps.shunt_ways),
	};
	return 0;
}

void private_monitor_close(struct private_monitor *m)
{
	shunt_bpf__destroy(m->skel);
	m->skel = NULL;
}
