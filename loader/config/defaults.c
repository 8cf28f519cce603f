// SPDX-License-Identifier: GPL-2.0-only
#include "config/defaults.h"

#include <stdio.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "util/log.h"
#include "util/netns.h"

/* A queued message pins about 1 KiB of slab besides its bytes. */
#define MESSAGE_COST 1024

/* Only the first network namespace shows net.ipv4.tcp_mem. Elsewhere the result is
 * what tcp_init_mem() sets at boot. */
__u64 default_pages(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_mem", "r");
	unsigned long long high = sysconf(_SC_PHYS_PAGES) / 16 * 3 / 2;

	if (f) {
		if (fscanf(f, "%*u %*u %llu", &high) != 1)
			debug("can't read net.ipv4.tcp_mem");
		fclose(f);
	}
	return high / 4;
}

/* With as many shards as CPUs, each CPU adds to its own without a lock. */
static void set_shards(struct shunt_conf *conf)
{
	__u32 cpus = libbpf_num_possible_cpus();

	conf->shards = 1;
	while (conf->shards < cpus && conf->shards < SHUNT_SHARDS)
		conf->shards *= 2;
	conf->counters_shared = cpus > conf->shards;
}

void conf_set_flows(struct shunt_conf *conf, __u32 flows)
{
	conf->flow_buckets = 1;
	while (conf->flow_buckets < flows)
		conf->flow_buckets *= 2;
}

void conf_set_host_messages(struct shunt_conf *conf)
{
	conf->host_msgs = conf->max_pages * getpagesize() / MESSAGE_COST;
}

void conf_defaults(struct shunt_conf *ret)
{
	*ret = (struct shunt_conf){
		.abi = SHUNT_ABI,
		.max_bytes = DEFAULT_MAX_BYTES,
		.max_msgs = DEFAULT_MAX_MESSAGES,
		.max_pages = default_pages(),
		.mark = DEFAULT_MARK,
		.table = DEFAULT_TABLE,
		.max_rules = DEFAULT_MAX_RULES,
		.netns = own_netns_cookie(),
		.netns_inode = own_netns_inode(),
	};
	conf_set_host_messages(ret);
	conf_set_flows(ret, DEFAULT_MAX_FLOWS);
	set_shards(ret);
}
